"""Fixtures for all tests."""

from __future__ import annotations

import gzip
import os
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.datasets.layouts.idx import find_files
from pipeline.packing.runtime import SHARED_VARIABLE
from tests.emulator.android import OLDEST
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.faults import table
from tests.faults.training import MODULE
from tests.invoking import ROOT, invoke

# Tests run beside each other, one on each core: threads of torch's would wait for the cores of the others, and wait
# busily. Before it is imported, and for the tasks that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each task would compile the pipeline's modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What a script starts in its background ignores Ctrl-C, and so would the tasks that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_SHARED: list[tempfile.TemporaryDirectory[str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """A runtime is made by the first test that needs it, in whichever worker: the workers inherit this."""
    if not hasattr(config, "workerinput"):
        _SHARED.append(tempfile.TemporaryDirectory(prefix="runtimes-"))
        os.environ[SHARED_VARIABLE] = _SHARED[0].name


def pytest_unconfigure() -> None:
    """Removes the shared runtimes."""
    while _SHARED:
        _SHARED.pop().cleanup()


@pytest.fixture(scope="session")
def may_emulate() -> None:
    """This machine can run an emulated device."""
    may_run = sys.platform.startswith("linux") and os.geteuid() == 0
    if not may_run and not os.environ.get("CI"):
        pytest.skip("the emulated device needs Linux and root")


@pytest.fixture(scope="session")
def session_device(may_emulate: None) -> Iterator[EmulatedDevice]:
    """The device of `emulator`, from the first test that needs it to the last of all."""
    with emulated_device(Hardware(android=OLDEST)) as device:
        yield device


@pytest.fixture(scope="module")
def emulator(session_device: EmulatedDevice) -> Iterator[EmulatedDevice]:
    """An emulated arm64 device and its adb server, one for all tests of a worker; each module finds it empty.

    It is the oldest Android that can be emulated: what works there works on the others.
    """
    yield session_device
    session_device.shell("rm -rf /data/local/tmp/*")


@pytest.fixture(scope="session")
def x86_device(may_emulate: None) -> Iterator[EmulatedDevice]:
    """An emulated x86-64 device, of the oldest Android too, and its adb server: native, it is up in half a second."""
    with emulated_device(Hardware(android=OLDEST, abi="x86_64")) as device:
        yield device


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout: MNIST and photographs."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir() and not os.environ.get("CI"):
        pytest.skip(f"{folder} is not on this machine")
    assert folder.is_dir()
    return folder


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with the x86 package of LeNet and the sample; only read by tests, but for the package's output."""
    folder = tmp_path_factory.mktemp("build")
    made = invoke("package", "--build", folder)
    assert made.code == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def package(build: Path) -> Path:
    """The x86 package of `build`."""
    return build / "package-x86"


@pytest.fixture(scope="session")
def made_of(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a package that trains fast, emulated too: a small model, the first images of MNIST."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.py").write_text(MODULE)
    (folder / "data").mkdir()
    for file, count in zip(find_files(shared_data / "mnist"), (400, 400, 40, 40), strict=True):
        content = gzip.decompress(file.read_bytes())
        header, size = (16, 784) if "images" in file.name else (8, 1)
        head = content[:4] + struct.pack(">I", count) + content[8:header]
        (folder / "data" / file.name.removesuffix(".gz")).write_bytes(head + content[header : header + count * size])
    return ("--model", f"{folder / 'small.py'}:tiny", "--data", str(folder / "data"))


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> table.Tried:
    """Takes a fault of docs/faults.md that passed, and what it cost."""

    def take(name: str, lost: str) -> None:
        assert name in table.FAULTS
        record_property(name, lost)

    return take


_seen: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps what tests tell of faults that passed."""
    if report.when == "call" and report.passed:
        _seen.update({name: str(lost) for name, lost in report.user_properties if name in table.FAULTS})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes docs/faults.md where that is asked for."""
    if os.environ.get(table.VARIABLE) and _seen and not hasattr(session.config, "workerinput"):
        table.write(_seen)
