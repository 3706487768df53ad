"""The emulated device is what it says: an Android-like arm64 device, and each of its faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import CommandError
from tests.emulator import processes
from tests.emulator.binfmt import FILESYSTEM
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device, start, status, stop
from tests.emulator.faults import frozen, gone, restart_adbd, state, unauthorized, unplugged

pytestmark = pytest.mark.emulator

FOLDER = "/data/local/tmp"
COUNTING = (
    f"setsid sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i >{FOLDER}/count; sleep 0.1; done'"
    " >/dev/null 2>&1 </dev/null &"
)


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_of_a_shell_command_arrives(emulator: EmulatedDevice, code: int) -> None:
    if code == 0:
        assert emulator.shell("echo out; exit 0") == "out\n"
    else:
        with pytest.raises(CommandError, match=f"exit code {code}"):
            emulator.shell(f"exit {code}")


def test_a_pushed_file_comes_back_as_it_was(emulator: EmulatedDevice, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "sent").write_bytes(content)
    emulator.adb("-s", emulator.serial, "push", tmp_path / "sent", f"{FOLDER}/file")
    emulator.adb("-s", emulator.serial, "pull", f"{FOLDER}/file", tmp_path / "returned")
    emulator.shell(f"rm {FOLDER}/file")
    assert (tmp_path / "returned").read_bytes() == content


def test_it_says_it_is_an_arm64_android_device(emulator: EmulatedDevice) -> None:
    assert emulator.shell("getprop ro.product.cpu.abi; uname -m") == "arm64-v8a\naarch64\n"
    assert "[ro.product.cpu.abi]: [arm64-v8a]\n" in emulator.shell("getprop")
    assert emulator.shell("getprop no.such.property otherwise") == "otherwise\n"


def test_its_shell_is_mksh_and_its_tools_are_toybox(emulator: EmulatedDevice) -> None:
    assert "MIRBSD KSH" in emulator.shell("echo $KSH_VERSION")
    assert emulator.shell("readlink /system/bin/tar /system/bin/sha256sum") == "toybox\ntoybox\n"


def test_it_has_no_python_and_no_bash(emulator: EmulatedDevice) -> None:
    # But for what other tests pushed.
    named = " -o ".join(f"-name '{name}' -print" for name in ("python*", "libpython*", "bash"))
    assert emulator.shell(f"find / -path /data/local/tmp -prune -o {named} 2>/dev/null || true") == ""


def test_its_only_glibc_is_where_no_program_but_its_own_looks(emulator: EmulatedDevice) -> None:
    found = emulator.shell("find / \\( -name 'libc.so*' -o -name 'ld-linux*' -o -name 'libc-*' \\) 2>/dev/null || true")
    assert {Path(line).parent for line in found.split()} == {Path("/apex/com.android.adbd/lib64")}
    assert emulator.shell("ls -d /lib /lib64 /usr /system/lib /system/lib64 /etc/ld.so.cache 2>/dev/null || true") == ""
    assert "LD_LIBRARY_PATH" not in emulator.shell("env")


def test_only_its_temporary_folder_can_be_written_to(emulator: EmulatedDevice) -> None:
    folders = emulator.shell("find / -path /proc -prune -o -path /sys -prune -o -type d -print 2>/dev/null || true")
    probe = 'while read -r f; do touch "$f/probe" 2>/dev/null && echo "$f" && rm "$f/probe"; done'
    assert f"{FOLDER}\n" in folders
    assert emulator.shell(f"{probe} <<'END'\n{folders}END\ntrue") == f"{FOLDER}\n"
    assert emulator.shell("ls -d /tmp /dev/shm 2>/dev/null || true") == ""


def test_its_shell_has_the_rights_of_androids(emulator: EmulatedDevice) -> None:
    assert emulator.shell("id -u; echo $HOME; hostname") == "2000\n/\nlocalhost\n"


def test_it_reaches_no_network(emulator: EmulatedDevice) -> None:
    assert emulator.shell("ls /sys/class/net") == "lo\n"


def test_what_runs_on_it_survives_a_lost_connection(emulator: EmulatedDevice) -> None:
    emulator.shell(COUNTING)
    _wait_until(lambda: _count(emulator) > 0)
    with unplugged(emulator):
        before = _count(emulator)
        assert state(emulator) == "offline"
        with pytest.raises(CommandError, match="offline"):
            emulator.shell("true")
        _wait_until(lambda: _count(emulator) > before + 2)
    assert state(emulator) == "device"
    before = _count(emulator)
    restart_adbd(emulator)
    _wait_until(lambda: _count(emulator) > before + 2)
    emulator.shell(f"pkill -f '[i]=0'; rm {FOLDER}/count")


def test_a_device_that_is_gone_is_not_found(emulator: EmulatedDevice) -> None:
    with gone(emulator):
        assert state(emulator) == ""
        with pytest.raises(CommandError, match="not found"):
            emulator.shell("true")
    assert emulator.shell("echo back") == "back\n"


def test_a_frozen_device_answers_only_when_it_is_thawed(emulator: EmulatedDevice) -> None:
    with frozen(emulator):
        assert state(emulator) == "device"
        with pytest.raises(CommandError, match="did not end within 2 s"):
            emulator.shell("true", timeout_s=2)
    assert emulator.shell("echo back") == "back\n"


def test_a_device_that_does_not_know_the_key_is_unauthorized(emulator: EmulatedDevice) -> None:
    with unauthorized(emulator) as serial:
        assert state(emulator, serial) == "unauthorized"
        with pytest.raises(CommandError, match="unauthorized"):
            emulator.adb("-s", serial, "shell", "true")
        assert state(emulator) == "device"
    assert state(emulator, serial) == ""


def test_a_small_disk_runs_full(emulator: EmulatedDevice) -> None:
    with emulated_device(Hardware(disk_bytes=1 << 20), beside=emulator) as small:
        with pytest.raises(CommandError, match="found the disk full"):
            small.shell(f"head -c 2000000 /dev/zero >{FOLDER}/file")
        assert small.shell(f"stat -c %s {FOLDER}/file") == f"{1 << 20}\n"
        assert small.shell(f"df {FOLDER} | tail -n 1").split()[1] == "1024"


def test_a_disk_that_cannot_execute_refuses_programs(emulator: EmulatedDevice) -> None:
    copy_and_start = f"cp /system/bin/toybox {FOLDER}/ls && chmod 755 {FOLDER}/ls && {FOLDER}/ls /system/build.prop"
    assert emulator.shell(copy_and_start + f"; rm {FOLDER}/ls") == "/system/build.prop\n"
    with (
        emulated_device(Hardware(executable=False), beside=emulator) as device,
        pytest.raises(CommandError, match="exit code 126"),
    ):
        device.shell(copy_and_start)


def test_two_devices_stand_beside_each_other_at_one_server(emulator: EmulatedDevice) -> None:
    with emulated_device(Hardware(abi="armeabi-v7a"), beside=emulator) as other:
        assert other.shell("getprop ro.product.cpu.abi") == "armeabi-v7a\n"
        assert state(emulator) == state(emulator, other.serial) == "device"
        other.shell(f"touch {FOLDER}/only-here")
        assert emulator.shell(f"ls {FOLDER}") == ""
    assert state(emulator, other.serial) == ""


def test_nothing_is_left_of_a_stopped_device(emulator: EmulatedDevice) -> None:
    device = start("test-stopped")
    try:
        device.shell(COUNTING)
        started = processes.noted(device.ledger)
        assert device in status()
        assert start("test-stopped") == device
    finally:
        stop("test-stopped")
    assert {process.role for process in started} == {"server", "keeper", "device", "relay"}
    assert not any(processes.alive(process) for process in started)
    assert not device.folder.exists()
    assert not (FILESYSTEM / "train-on-device-test-stopped").exists()
    assert device not in status()
    assert str(device.folder) not in Path("/proc/mounts").read_text()
    stop("test-stopped")


def test_nothing_is_left_of_a_device_that_did_not_come_up(emulator: EmulatedDevice) -> None:
    with pytest.raises(Exception, match="does not come up"):
        start("test-broken", Hardware(disk_bytes=-1))
    assert not (emulator.folder.parent / "test-broken").exists()
    assert not (FILESYSTEM / "train-on-device-test-broken").exists()


def _count(device: EmulatedDevice) -> int:
    count = device.data / "count"
    return int(count.read_text().strip() or 0) if count.exists() else 0


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
