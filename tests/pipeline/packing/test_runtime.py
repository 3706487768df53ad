"""The runtime folders: pinned, small, without links, whole, and built once."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from device_runtime.formats.manifest import Version
from pipeline.commands import run
from pipeline.errors import CommandError, PackageError
from pipeline.packing import runtime_device, runtime_x86
from pipeline.packing.abi import ABIS, ARM64, X86_64, Abi
from pipeline.packing.runtime import SHARED_VARIABLE, drop, read_rules, read_versions, write_versions
from pipeline.packing.runtime_device import build_device
from pipeline.packing.runtime_x86 import build_x86
from pipeline.stages import STAMP
from tests.emulator.image import image
from tests.invoking import ROOT

LIMITS_MB = {ARM64: 58, X86_64: 66}
# Of x86-64 no kernel has larger pages.
PAGE_BYTES = {ARM64: 16 * 1024, X86_64: 4 * 1024}
LOAD_SEGMENT = 1

TINY_SESSION = """
import mmap, sys
import numpy, numpy.random, onnxruntime, safetensors.numpy
tensors = safetensors.numpy.load(safetensors.numpy.save({"w": numpy.random.default_rng(1).random(5)}))
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
binding = session.io_binding()
binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(numpy.ones(3, numpy.float32)))
binding.bind_output("y")
session.run_with_iobinding(binding)
print(tensors["w"].shape, binding.get_outputs()[0].numpy().sum())
"""


@dataclass(frozen=True)
class Runtime:
    """The runtime of an ABI."""

    abi: Abi
    folder: Path

    def start(self, *words: str | Path, env: Mapping[str, str] = MappingProxyType({})) -> str:
        """Starts its loader, under qemu where that has to be, and returns what is printed."""
        emulated: list[str | Path] = [image().qemu] if self.abi == ARM64 else []
        loader: list[str | Path] = [self.folder / "lib" / self.abi.loader, "--library-path", self.folder / "lib"]
        return run([*emulated, *loader, *words], timeout_s=120, env=env)

    def python(self, *words: str | Path) -> str:
        """Runs its interpreter as a package does."""
        environment = {
            "PYTHONHOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "site-packages"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return self.start(self.folder / "bin" / "python3", "-s", *words, env=environment)


@pytest.fixture(scope="module", autouse=True)
def not_shared() -> Iterator[None]:
    """Other tests copy runtimes that were made once; here they are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SHARED_VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module", params=ABIS, ids=lambda abi: abi.name)
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A freshly assembled runtime of each ABI."""
    abi: Abi = request.param
    return Runtime(abi, build_device(abi, tmp_path_factory.mktemp(f"build {abi.name}")))


@pytest.fixture
def assembled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what would be assembled instead of downloading it."""
    notes: list[str] = []

    def install(folder: Path, requirements: Sequence[Path], unused: Sequence[str]) -> dict[str, Version]:
        (folder / "site-packages").mkdir()
        notes.append(folder.name)
        return {"numpy": Version("1.0", "ab")}

    monkeypatch.setattr(runtime_x86, "install_wheels", install)
    return notes


def tiny_model(folder: Path) -> Path:
    """The sum of x and x as an ONNX file."""
    from onnx import TensorProto, helper, save

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(folder / "tiny.onnx"))
    return folder / "tiny.onnx"


def test_every_wheel_is_pinned_to_one_version_and_to_digests() -> None:
    files = "".join(path.read_text() for path in runtime_x86.PINNED)
    text = re.sub(r"^#.*\n", "", files, flags=re.MULTILINE).replace("\\\n", "")
    for line in text.splitlines():
        assert re.fullmatch(r"[a-z]+==[0-9.]+(\s+--hash=sha256:[0-9a-f]{64})+", line)


def test_what_matches_a_pattern_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a/tests/x", "a/b/tests/y", "a/keep", "bin/tool", "a/z.pyi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    drop(tmp_path, ("a/**/tests", "bin", "**/*.pyi", "link", "absent"))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "a/b", "a/keep"]


def test_versions_are_read_as_they_were_written(tmp_path: Path) -> None:
    versions = {"numpy": Version("1.0", "ab"), "libc6": Version("2.41-12", "cd")}
    write_versions(tmp_path, versions)
    assert read_versions(tmp_path) == versions


def test_a_runtime_is_assembled_once_and_again_when_its_rules_change(
    tmp_path: Path, assembled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_x86(tmp_path)
    build_x86(tmp_path)
    assert len(assembled) == 1
    changed = replace(read_rules(), unused=("other",))
    monkeypatch.setattr(runtime_x86, "read_rules", lambda: changed)
    folder = build_x86(tmp_path)
    assert len(assembled) == 2
    assert read_versions(folder) == {"numpy": Version("1.0", "ab")}


def test_build_folders_share_a_runtime_where_the_environment_says_so(
    tmp_path: Path, assembled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, str(tmp_path / "shared"))
    first, second = build_x86(tmp_path / "a"), build_x86(tmp_path / "b")
    assert len(assembled) == 1
    assert (first / STAMP).read_text() == (second / STAMP).read_text()
    # What is done to a copy is done to that alone, and a damaged original is made again.
    (first / "versions.json").write_text("{}")
    assert build_x86(tmp_path / "a") == first
    assert len(assembled) == 1
    [original] = tmp_path.glob("shared/*/runtime/versions.json")
    original.write_text("{}")
    assert read_versions(build_x86(tmp_path / "c")) == read_versions(first) == {"numpy": Version("1.0", "ab")}
    assert len(assembled) == 2


def test_a_failed_download_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "requirements.txt"
    wrong.write_text("numpy==0.0.1 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(runtime_x86, "PINNED", (wrong,))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CommandError, match=r"numpy==0\.0\.1"):
        build_x86(tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_libraries_that_are_missing_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"holds libx\.so\.1, liby\.so\.2"):
        runtime_device._copy_libraries(tmp_path, tmp_path / "lib", ("libx.so.1", "liby.so.2"), "aarch64-linux-gnu")


@pytest.mark.slow
def test_a_devices_runtime_is_small_enough(runtime: Runtime) -> None:
    assert int(run(["du", "-sm", runtime.folder], timeout_s=60).split()[0]) <= LIMITS_MB[runtime.abi]
    assert int(run(["du", "-sb", runtime.folder], timeout_s=60).split()[0]) <= LIMITS_MB[runtime.abi] * 10**6


@pytest.mark.slow
def test_a_devices_runtime_has_no_links_and_the_loader_and_interpreter_can_be_executed(runtime: Runtime) -> None:
    assert [path for path in runtime.folder.rglob("*") if path.is_symlink()] == []
    for program in (f"lib/{runtime.abi.loader}", "bin/python3"):
        assert (runtime.folder / program).stat().st_mode & 0o111 == 0o111


@pytest.mark.slow
def test_a_devices_runtime_names_version_and_digest_of_every_package_and_wheel(runtime: Runtime) -> None:
    versions = read_versions(runtime.folder)
    assert set(versions) == {*read_rules().packages, "onnxruntime", "safetensors"}
    assert all(version.version and re.fullmatch("[0-9a-f]{64}", version.sha256) for version in versions.values())


@pytest.mark.slow
def test_a_second_build_of_a_devices_runtime_starts_no_program(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert build_device(runtime.abi, runtime.folder.parent) == runtime.folder


@pytest.mark.slow
def test_every_file_of_a_devices_runtime_can_be_loaded_in_the_largest_pages_of_its_abi(runtime: Runtime) -> None:
    files = [path for path in runtime.folder.rglob("*") if path.is_file()]
    alignments = [alignment for path in files for alignment in load_alignments(path)]
    assert len(alignments) > 50
    assert min(alignments) >= PAGE_BYTES[runtime.abi]


def load_alignments(path: Path) -> list[int]:
    """`p_align` of every loaded segment of a 64-bit ELF file; none of another file."""
    content = path.read_bytes()
    if not content.startswith(b"\x7fELF\x02"):
        return []
    start, (size, count) = struct.unpack_from("<Q", content, 32)[0], struct.unpack_from("<HH", content, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", content, start + i * size) for i in range(count)]
    return [header[7] for header in headers if header[0] == LOAD_SEGMENT]


@pytest.mark.slow
@pytest.mark.emulator
def test_every_library_of_a_devices_runtime_finds_what_it_links_to(runtime: Runtime) -> None:
    folder = runtime.folder
    binaries = [folder / "bin" / "python3", *folder.rglob("*.cpython-*.so"), *folder.rglob("*.abi3.so")]
    # The loader's exit code says whether it found all.
    listed = "".join(runtime.start("--list", binary) for binary in binaries)
    found = re.findall(r"=> (\S.*) \(", listed)
    assert len(found) > 30
    # This machine may have some of the same ABI.
    assert [path for path in found if not Path(path).is_relative_to(folder)] == []


@pytest.mark.slow
@pytest.mark.emulator
def test_a_devices_runtime_runs_a_session_with_nothing_but_its_own_files(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY_SESSION)
    assert runtime.python(tmp_path / "tiny.py", tiny_model(tmp_path)) == "(5,) 6.0\n"


@pytest.mark.slow
@pytest.mark.emulator
def test_a_devices_runtime_has_every_module_that_the_runner_imports(runtime: Runtime) -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "device_runtime").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    # The reference engine's is the host's own.
    foreign = sorted(name for name in names if not name.startswith(("device_runtime", "onnxruntime.training")))
    assert {"json", "numpy", "onnxruntime"} <= set(foreign)
    assert runtime.python("-c", f"import {', '.join(foreign)}; print('all')") == "all\n"


@pytest.mark.slow
@pytest.mark.emulator
def test_numpy_on_a_device_multiplies_and_says_that_it_has_no_lapack(runtime: Runtime) -> None:
    multiplied = (
        "import numpy as np; print(np.dot(np.full((2, 3), 2, np.float32), np.ones((3, 2), np.float32)).tolist())"
    )
    assert runtime.python("-c", multiplied) == "[[6.0, 6.0], [6.0, 6.0]]\n"
    with pytest.raises(CommandError, match=r"numpy\.linalg needs inv of LAPACK, which this runtime leaves out"):
        runtime.python("-c", "import numpy as np; np.linalg.inv(np.eye(2))")
