"""The emulated device is what it says: an Android-like arm64 device, and each of its faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import CommandError, TargetError, UsageError
from tests.emulator import processes
from tests.emulator.android import read_number
from tests.emulator.binfmt import FILESYSTEM
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device, start, status, stop
from tests.emulator.faults import frozen, gone, kill_server, reboot, restart_adbd, state, unauthorized, unplugged
from tests.emulator.parts import connect, start_server

pytestmark = pytest.mark.emulator

FOLDER = "/data/local/tmp"
COUNTING = (
    f"setsid sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i >{FOLDER}/count; sleep 0.1; done'"
    " >/dev/null 2>&1 </dev/null &"
)


@pytest.fixture(scope="module")
def newest(emulator: EmulatedDevice) -> Iterator[EmulatedDevice]:
    """A device of the newest Android, beside the session's, which is of the oldest."""
    with emulated_device(beside=emulator) as device:
        yield device


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


def test_its_shell_is_mksh_and_its_tools_are_toybox(emulator: EmulatedDevice, newest: EmulatedDevice) -> None:
    assert "MIRBSD KSH" in emulator.shell("echo $KSH_VERSION")
    assert emulator.shell("readlink /system/bin/cat") == "toybox\n"
    assert newest.shell("readlink /system/bin/cat /system/bin/sha256sum") == "toybox\ntoybox\n"


def test_an_android_says_which_it_is_and_has_its_tools_alone(emulator: EmulatedDevice, newest: EmulatedDevice) -> None:
    ask = "getprop ro.build.version.release; getprop ro.build.version.sdk; command -v gunzip || echo none"
    assert emulator.shell(ask) == "8.0.0\n26\nnone\n"
    assert newest.shell(ask) == "14\n34\n/system/bin/gunzip\n"


LATER = (
    *("head -c 2 file", "head -qn1 file", "tail --bytes=2 file", "sha256sum --check list", "mv -T b c"),
    *(
        "rm --force b",
        "readlink --canonicalize file",
        "tar -c --mode=600 file",
        "stat --format=%s file",
        "sort -C file",
    ),
)
KNOWN = (
    *("head -n 1 file", "head -n1 file", "tail -c +2 file", "tail -1 file", "sha256sum -c list"),
    *("sha256sum -c - <list", "tar -cf a.tar file list", "tar --extract --file=a.tar -o", "tar --file a.tar -t"),
    *("stat -c %s -- file", "cp file b; mv -f file b; cp b file", "rm -rf -- -T", "find . -maxdepth 1 -type l"),
    *("flock -n 9 9>lock", "df -k ."),
)


def test_an_older_androids_tools_refuse_the_options_that_came_later(
    emulator: EmulatedDevice, newest: EmulatedDevice
) -> None:
    enter = f"mkdir -p {FOLDER}/tools && cd {FOLDER}/tools && echo line >file && echo line >b && sha256sum file >list"
    tried = "; ".join(f"({words}) >/dev/null 2>&1 </dev/null && echo 0 || echo $?" for words in (*KNOWN, *LATER))
    old, new = (device.shell(f"{enter}; {tried}; rm -r ../tools").split() for device in (emulator, newest))
    assert new == ["0"] * len(KNOWN + LATER)
    assert old == ["0"] * len(KNOWN) + ["1"] * len(LATER)


def test_the_list_of_digests_is_an_older_androids_options_own_argument(emulator: EmulatedDevice) -> None:
    with pytest.raises(CommandError, match="Unknown option 'c'"):
        emulator.shell("sha256sum -c </dev/null")


def test_an_older_androids_tar_wants_to_give_away_what_it_unpacks(
    emulator: EmulatedDevice, newest: EmulatedDevice
) -> None:
    make = f"cd {FOLDER} && echo a >file && tar -cf a.tar file && rm file"
    unpack = f"{make} && tar -xf a.tar; echo $?; cat file; rm file a.tar"
    assert emulator.shell(unpack) == "1\na\n"
    assert newest.shell(unpack) == "0\na\n"


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
    find = "find / -path /proc -prune -o -path /sys -prune -o -type d -print 2>/dev/null"
    probe = 'while read -r f; do touch "$f/probe" 2>/dev/null && echo "$f" && rm "$f/probe"; done'
    assert emulator.shell(f"{find} | {probe}; true") == f"{FOLDER}\n"
    assert emulator.shell("ls -d /tmp /dev/shm 2>/dev/null || true") == ""


def test_its_shell_has_the_rights_of_androids(emulator: EmulatedDevice) -> None:
    assert emulator.shell("grep ^Uid: /proc/self/status; hostname").split() == ["Uid:", *["2000"] * 4, "localhost"]


def test_its_environment_is_a_phones(emulator: EmulatedDevice) -> None:
    assert emulator.shell('echo "[${HOME-none}]"; ls /tmp /dev/shm /etc/passwd 2>/dev/null || true') == "[none]\n"
    # adbd's umask: what a shell writes is everybody's, unless it sees to it.
    assert emulator.shell("umask") == "000\n"


def test_a_process_of_another_user_cannot_be_seen(emulator: EmulatedDevice) -> None:
    assert (
        emulator.shell("cd /proc; for p in 1 $$; do [ -d $p ] && echo there || echo hidden; done") == "hidden\nthere\n"
    )


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
            small.shell(f"cat /dev/zero >{FOLDER}/file")
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


def test_a_reboot_ends_what_runs_and_keeps_the_files(emulator: EmulatedDevice) -> None:
    with emulated_device(Hardware(android=10, cpu="cortex-a53"), beside=emulator) as device:
        device.shell(COUNTING)
        _wait_until(lambda: _count(device) > 0)
        reboot(device)
        before = _count(device)
        assert before > 0
        assert device.shell("getprop ro.build.version.sdk; echo $QEMU_CPU") == "29\ncortex-a53\n"
        time.sleep(0.5)
        assert _count(device) == before
        assert state(emulator) == "device"


def test_a_killed_server_can_be_started_again(emulator: EmulatedDevice) -> None:
    with emulated_device() as device:
        kill_server(device)
        with pytest.raises(CommandError, match="no adb server listens"):
            device.shell("true")
        start_server(device)
        connect(device)
        assert device.shell("echo back") == "back\n"


def test_a_device_of_other_hardware_is_not_taken_for_the_one_that_runs(emulator: EmulatedDevice) -> None:
    start("test-other", beside=emulator)
    try:
        with pytest.raises(TargetError, match=r"runs, and is another one: `invoke emulator\.stop`"):
            start("test-other", Hardware(android=8), beside=emulator)
    finally:
        stop("test-other")


def test_an_android_that_cannot_be_emulated_is_refused() -> None:
    assert read_number("10") == 10
    for text in ("9", "", "new"):
        with pytest.raises(UsageError, match=f"--android {text}: give 8, 10, 14"):
            read_number(text)


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
