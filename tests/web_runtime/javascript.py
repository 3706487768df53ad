"""The checkout's JavaScript in a folder of its own, with the packages of npm that its lock file names."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.invoking import ROOT, TIMEOUT_S, Invoked

COPIED = ("web_runtime", "pipeline/bench/web/page", "examples/node", "tests/web_runtime", "tests/vectors")


@dataclass(frozen=True)
class JavaScript:
    """A copy of the sources, installed."""

    folder: Path

    def node(self, *words: str | Path) -> Invoked:
        """Runs `node WORDS` in the folder."""
        return run("node", *words, cwd=self.folder)

    def train(self, package: Path, output: Path, *words: str) -> Invoked:
        """Runs the example: trains the model of a package, on one thread."""
        return self.node("examples/node/train.js", package, output, "--threads", "1", *words)


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> Invoked:
    """Runs a program."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Invoked(done.returncode, done.stdout, done.stderr)


def installed(folder: Path) -> JavaScript:
    """Copies the sources into a folder, and installs what the lock file names."""
    for part in COPIED:
        ignored = shutil.ignore_patterns("node_modules", "__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    done = run("npm", "ci", cwd=folder / "examples/node")
    assert done.code == 0, done.stderr
    # Where the compiler looks for the types of Node.
    (folder / "node_modules").symlink_to("examples/node/node_modules")
    return JavaScript(folder)
