"""The walls between the parts: who may import what."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.invoking import ROOT

# The host's folders and the modules beside them, each above all that it may import.
ROOMS = (
    *(
        "pipeline.errors",
        "pipeline.tables",
        "pipeline.progress",
        "pipeline.files",
        "pipeline.commands",
        "pipeline.stages",
    ),
    "pipeline.machine",
    *("pipeline.packing", "pipeline.targets.adb", "pipeline.targets", "pipeline.targets.web"),
    *("pipeline.graphs", "pipeline.options", "pipeline.fleet.options"),
    *("pipeline.optimizers", "pipeline.recipe", "pipeline.settings"),
    *("pipeline.sources.layers", "pipeline.sources.models", "pipeline.sources.onnx_files", "pipeline.sources"),
    *("pipeline.capture.joint.arithmetic", "pipeline.capture.joint.operators", "pipeline.capture.joint"),
    *("pipeline.capture", "pipeline.capture.onnx"),
    *("pipeline.lowering.convolutions", "pipeline.lowering.rules", "pipeline.lowering"),
    *("pipeline.datasets.photographs", "pipeline.datasets.arrays", "pipeline.datasets.columns"),
    "pipeline.datasets.recordings",
    *("pipeline.datasets.layouts", "pipeline.datasets"),
    "pipeline.checking",
    *("pipeline.results.records", "pipeline.results.pages"),
    *(
        "pipeline.running",
        "pipeline.results",
        "pipeline.prepare",
        "pipeline.run",
        "pipeline.inference",
        "pipeline.fleet",
    ),
    *("pipeline.bench.models", "pipeline.bench.rivals", "pipeline.bench", "pipeline.bench.web"),
    *("pipeline.doctor", "pipeline.configuration"),
    *("pipeline.cli.tasks", "pipeline.cli"),
)

# Of files that a person writes or a lock file is.
SUFFIXES = (".py", ".md", ".toml", ".txt", ".sh", ".yml", ".js", ".json", ".html", ".css")

# Of a runner that is a browser's and Node's: what differs between them is given to it.
OF_NODE = {"node.js"}

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


def modules() -> dict[str, Path]:
    """The host's modules by their full names; a package stands for its `__init__.py`."""
    files = {path: path.relative_to(ROOT).with_suffix("").parts for path in sources("pipeline")}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in files.items()}


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Those of the known modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update((whole & known.keys()) or {node.module})
    return found & known.keys()


def room_of(module: str, path: Path) -> str:
    """The folder of a module; the modules beside `run.py` are rooms of their own."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return module if package == "pipeline" else package


def test_a_folder_imports_only_folders_below_it() -> None:
    known = modules()
    for module, path in known.items():
        if module == "pipeline":
            continue
        own = room_of(module, path)
        rooms = {room_of(name, known[name]) for name in imported(path, known)} - {own, "pipeline"}
        above = [room for room in rooms if ROOMS.index(room) >= ROOMS.index(own)]
        assert not above, f"{module} imports {above}"


def test_no_two_modules_import_each_other() -> None:
    known = modules()
    graph = {module: imported(path, known) - {module} for module, path in known.items()}
    # Raises a CycleError that names them.
    assert len(list(TopologicalSorter(graph).static_order())) == len(known)


def test_every_folder_says_what_it_reads_and_writes_and_what_belongs_there() -> None:
    for path in (ROOT / "pipeline").rglob("__init__.py"):
        if path.parent.name != "pipeline":
            lines = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
            assert [line.split(" ")[0] for line in lines] == ["Reads", "Writes", "Belongs"], path


def test_few_modules_stand_beside_the_folders() -> None:
    assert len(list((ROOT / "pipeline").glob("*.py"))) <= 12


def test_tests_lie_where_the_modules_lie() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in sources("tests/pipeline")}
    assert all((ROOT / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("path", sources("device_runtime"), ids=str)
def test_the_device_side_imports_nothing_that_a_device_lacks(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert tops <= DEVICE_PACKAGES | sys.stdlib_module_names


def test_the_runner_in_javascript_imports_its_own_modules_alone() -> None:
    for path in (ROOT / "web_runtime").rglob("*.js"):
        names = re.findall(r"^(?:import|export) [^;]*?from '([^']+)'", path.read_text(), re.MULTILINE)
        foreign = [name for name in names if not (name.startswith(".") and (path.parent / name).is_file())]
        assert path.name in OF_NODE or not foreign, f"{path} imports {foreign}"


def test_the_host_imports_the_device_sides_formats_alone() -> None:
    # The benchmark's rivals are timed by the device side's own code, one of them as its own engine.
    for path in sources("pipeline"):
        if path.parent.name != "rivals":
            foreign = {name for name in imports(path) if name.startswith("device_runtime.")}
            assert all(name.startswith("device_runtime.formats") for name in foreign), path


def test_one_module_starts_processes_and_one_talks_to_adb() -> None:
    starters = {path.name for path in sources("pipeline") if "subprocess" in imports(path)}
    talkers = {path.name for path in sources("pipeline") if "adbutils" in imports(path)}
    assert starters == {"commands.py"}
    assert talkers == {"server.py"}


def test_no_registry_is_named() -> None:
    names = (("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"), ("npmjs", "org"))
    hosts = [".".join(parts) for parts in names]
    for path in ROOT.rglob("*"):
        inside = not {".git", "build", "runs", "node_modules"}.intersection(path.relative_to(ROOT).parts)
        if inside and path.suffix in (*SUFFIXES, "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], path
