"""What trains on a target, beside its runtime: files here by the paths that they have in a package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import device_runtime
from pipeline.packing.runtime import PACKAGING

TRAINING_SCRIPTS = ("run.sh", "train.sh", "eval.sh", "eval_untrained.sh", "bench.sh", "job.sh")

_SOURCES = Path(device_runtime.__file__).parent.parent
_WEB, _TEACHING = "web_runtime", "teach"
# What `teaching_page` has at the root.
TEACHING_PAGE = "teach.html"
# Of a browser's runner, what is Node's, or for who works on it.
_NOT_OF_A_BROWSER = ("node.js", "package.json", "tsconfig.json")


def python_runner(scripts: Sequence[str] = TRAINING_SCRIPTS) -> dict[str, Path]:
    """The runner in Python, and scripts that start it."""
    folder = _SOURCES / "device_runtime"
    modules = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {
        **{path.relative_to(_SOURCES).as_posix(): path for path in modules},
        **{name: PACKAGING / name for name in scripts},
    }


def web_runner() -> dict[str, Path]:
    """The runner in JavaScript, and the page that it runs in."""
    return {name: path for name, path in _web_files() if not _teaches(path)}


def teaching_page() -> dict[str, Path]:
    """The page that teaches a model with a frozen backbone its user's classes, beside the runner in JavaScript."""
    return {name: path for name, path in _web_files() if _teaches(path)}


def _teaches(path: Path) -> bool:
    return path.parent.name == _TEACHING


def _web_files() -> Iterator[tuple[str, Path]]:
    for path in (_SOURCES / _WEB).rglob("*.*"):
        if path.is_file() and path.name not in _NOT_OF_A_BROWSER:
            # A page stands at the package's root, from where it leads to everything.
            yield path.name if path.suffix == ".html" else path.relative_to(_SOURCES).as_posix(), path
