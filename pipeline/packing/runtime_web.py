"""A browser's runtime: onnxruntime-web's WebAssembly and the modules that load it, as npm's lock file pins them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.packing.npm import npm_files, pins_in
from pipeline.packing.runtime import PACKAGING, build_runtime, read_rules, write_versions
from pipeline.stages import key_of

_PINS = PACKAGING / "web"
_PACKAGE = "onnxruntime-web"


def build_web(build: Path) -> Path:
    """Makes build/runtime-web/; what is there for the same pins is kept.

    Raises:
      CommandError: npm is missing or failed; the message carries what it said.
    """
    folder = build / "runtime-web"
    files = read_rules().web_files
    key = key_of("web", [path.read_text() for path in pins_in(_PINS)], files)
    build_runtime(folder, key, lambda temporary: _assemble(temporary, files))
    return folder


def _assemble(folder: Path, files: Sequence[str]) -> None:
    npm_files(_PINS, {f"{_PACKAGE}/dist/{name}": name for name in files}, folder)
    # The lock's digests are of SHA-512; the manifest has one of each file.
    _, lock = pins_in(_PINS)
    locked = json.loads(lock.read_text())["packages"][f"node_modules/{_PACKAGE}"]
    write_versions(folder, {_PACKAGE: Version(locked["version"], "")})
