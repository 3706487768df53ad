"""The emulated x86-64 device is an Android-like one too: its own programs alone, run by this machine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from tests.emulator.android import read_abi
from tests.emulator.binfmt import FILESYSTEM
from tests.emulator.device import EmulatedDevice

pytestmark = pytest.mark.emulator


def test_it_says_what_an_android_emulator_says(x86_device: EmulatedDevice) -> None:
    asked = "getprop ro.product.cpu.abi; getprop ro.product.cpu.abilist64; uname -m; getprop ro.build.version.sdk"
    assert x86_device.shell(asked) == "x86_64\nx86_64,arm64-v8a\nx86_64\n26\n"


def test_its_shell_and_tools_are_androids(x86_device: EmulatedDevice) -> None:
    assert "MIRBSD KSH" in x86_device.shell("echo $KSH_VERSION")
    assert x86_device.shell("readlink /system/bin/cat; command -v gunzip || echo none") == "toybox\nnone\n"
    assert x86_device.shell("grep ^Uid: /proc/self/status").split() == ["Uid:", *["2000"] * 4]


def test_its_only_glibc_is_where_no_program_but_its_own_looks(x86_device: EmulatedDevice) -> None:
    # But for what other tests pushed.
    named = "\\( -name 'libc.so*' -o -name 'ld-linux*' -o -name 'python*' -o -name bash \\)"
    found = x86_device.shell(f"find / -path /data/local/tmp -prune -o {named} -print 2>/dev/null || true")
    assert {Path(line).parent for line in found.split()} == {Path("/apex/com.android.adbd/lib64")}
    assert x86_device.shell("ls -d /lib /lib64 /usr /etc/ld.so.cache 2>/dev/null || true") == ""


def test_no_emulator_runs_its_programs(x86_device: EmulatedDevice) -> None:
    assert not (FILESYSTEM / f"train-on-device-{x86_device.name}").exists()


def test_an_abi_that_cannot_be_emulated_is_refused() -> None:
    assert read_abi("x86_64") == "x86_64"
    with pytest.raises(UsageError, match=r"--abi x86: give arm64-v8a or x86_64"):
        read_abi("x86")
