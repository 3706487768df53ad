"""A browser's runtime: onnxruntime-web's WebAssembly and the modules that load it, as npm's lock file pins them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.commands import run
from pipeline.packing.runtime import PACKAGING, build_runtime, read_rules, write_versions
from pipeline.stages import key_of

LOCK = PACKAGING / "web" / "package-lock.json"
PINNED = (PACKAGING / "web" / "package.json", LOCK)
_PACKAGE = "node_modules/onnxruntime-web"
_NPM_TIMEOUT_S = 900
# The lock file has a digest of each package, which npm compares; no program of a package runs here.
_NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def build_web(build: Path) -> Path:
    """Makes build/runtime-web/; what is there for the same pins is kept.

    Raises:
      CommandError: npm is missing or failed; the message carries what it said.
    """
    folder = build / "runtime-web"
    files = read_rules().web_files
    key = key_of("web", [path.read_text() for path in PINNED], files)
    build_runtime(folder, key, lambda temporary: _assemble(temporary, files))
    return folder


def _assemble(folder: Path, files: Sequence[str]) -> None:
    work = folder / "npm"
    work.mkdir()
    for path in PINNED:
        shutil.copy(path, work / path.name)
    run(_NPM, timeout_s=_NPM_TIMEOUT_S, cwd=work)
    for name in files:
        shutil.copy(work / _PACKAGE / "dist" / name, folder / name)
    shutil.rmtree(work)
    # The lock's digests are of SHA-512; the manifest has one of each file.
    locked = json.loads(LOCK.read_text())["packages"][_PACKAGE]
    write_versions(folder, {"onnxruntime-web": Version(locked["version"], "")})
