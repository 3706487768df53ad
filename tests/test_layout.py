"""The walls between the parts: who may import what."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.invoking import ROOT

DEVICE_PACKAGES = {"device_runtime", "numpy", "onnxruntime", "safetensors"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def sources(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("path", sources("device_runtime"), ids=str)
def test_the_device_side_imports_nothing_that_a_device_lacks(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert tops <= DEVICE_PACKAGES | sys.stdlib_module_names


def test_the_host_imports_the_device_sides_formats_alone() -> None:
    # The benchmark's rivals are timed by the device side's own code, one of them as its own engine.
    for path in sources("pipeline"):
        if path.name != "rival.py":
            foreign = {name for name in imports(path) if name.startswith("device_runtime.")}
            assert all(name.startswith("device_runtime.formats") for name in foreign), path


def test_one_module_starts_processes_and_one_talks_to_adb() -> None:
    starters = {path.name for path in sources("pipeline") if "subprocess" in imports(path)}
    talkers = {path.name for path in sources("pipeline") if "adbutils" in imports(path)}
    assert starters == {"commands.py"}
    assert talkers == {"adb.py"}


def test_no_registry_is_named() -> None:
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"))]
    for path in ROOT.rglob("*"):
        inside = not {".git", "build", "runs"}.intersection(path.relative_to(ROOT).parts)
        if inside and path.suffix in (".py", ".md", ".toml", ".txt", ".sh", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], path
