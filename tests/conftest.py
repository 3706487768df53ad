"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.android import OLDEST
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.invoking import ROOT, invoke

# What a script starts in its background ignores Ctrl-C, and so would the tasks that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def session_device() -> Iterator[EmulatedDevice]:
    """The device of `emulator`, from the first test that needs it to the last of all."""
    may_run = sys.platform.startswith("linux") and os.geteuid() == 0
    if not may_run and not os.environ.get("CI"):
        pytest.skip("the emulated device needs Linux and root")
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
