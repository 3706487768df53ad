"""The package that is tested on the emulated x86-64 device."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.packing.abi import X86_64
from pipeline.targets.device import AdbTarget, connect
from tests.emulator.device import EmulatedDevice
from tests.x86_device.packaged import Packaged, nothing


@pytest.fixture(scope="session")
def packaged(x86_device: EmulatedDevice, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """A package of what was built, and by then checked, before."""
    own = tmp_path_factory.mktemp("x86 device") / "build"
    shutil.copytree(build, own, ignore=shutil.ignore_patterns("package-*", "runtime-*"))
    packaged = Packaged(x86_device, own)
    made = packaged.invoke("package")
    assert made.code == 0, made.stderr
    return packaged


@pytest.fixture
def target(packaged: Packaged, monkeypatch: pytest.MonkeyPatch) -> AdbTarget:
    """The device with the package on it; others at its adb server can be connected to as well."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(packaged.device.adb_server_port))
    target = connect(packaged.device.serial, X86_64)
    target.push(packaged.package, nothing)
    return target
