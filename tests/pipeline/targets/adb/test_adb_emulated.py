"""What only a real adb server and a real device can show: its protocols, its shell, its tools, and where they break."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from pipeline.errors import TargetError
from pipeline.packing.abi import ARM64
from pipeline.packing.runtime import PACKAGING
from pipeline.targets import OnLine
from pipeline.targets.adb import server as server_module
from pipeline.targets.adb.adb import Adb, ConnectionLost
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.push import push
from pipeline.targets.adb.shell import Stdin
from pipeline.targets.device import AdbTarget, package_on_device
from tests.emulator import processes
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import restart_adbd, unplugged
from tests.pipeline.targets.stand_in import make_package

pytestmark = pytest.mark.emulator

ROOT = package_on_device(ARM64)

FOLDER = "/data/local/tmp"
FILES: dict[str, str | bytes] = {
    "job.sh": (PACKAGING / "job.sh").read_bytes(),
    "train.sh": "echo started; trap 'exit 143' TERM; sleep 300 & wait\n",
    "eval.sh": "i=0; while [ $i -lt 4 ]; do i=$((i + 1)); echo line $i; sleep 1; done; exit 5\n",
    "model/weights": Random(1).randbytes(1_024_000),
    "dataset/living room/it's.bmp": "one",
}

LINES = [f"line {number}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def emulator(emulator: EmulatedDevice) -> Iterator[EmulatedDevice]:
    """A device of today's tools: what has no shell protocol v2 is an old Linux board, whose `head` counts bytes."""
    with emulated_device() as newest:
        yield newest


@pytest.fixture
def device(emulator: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adb]:
    """The emulated device, which has nothing of ours after the test; what was there is put back."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    emulator.shell(f"cd {FOLDER} && [ ! -d {ROOT.parent} ] || mv {ROOT.parent} put-aside")
    yield Adb(emulator.serial)
    if AdbTarget(Adb(emulator.serial), ARM64).status().startswith("running"):
        AdbTarget(Adb(emulator.serial), ARM64).stop()
    emulator.shell(f"cd {FOLDER} && rm -rf {ROOT.parent} && [ ! -d put-aside ] || mv put-aside {ROOT.parent}")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package", FILES)


def ignored(done: int, total: int) -> None:
    """Takes progress and does nothing."""


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_output_input_and_exit_codes_come_through_either_protocol(device: Adb, v2: bool) -> None:
    device._v2 = v2
    content = bytes(range(256)) * 3000
    assert device.execute("cat; exit 7", stdin=Stdin([content[:70_000], content[70_000:]], len(content))).code == 7
    assert device.execute("cat", stdin=Stdin([content], len(content))).stdout == content
    assert device.execute("echo out; exit 3").stdout == b"out\n"
    assert device.execute("exit 255").code == 255


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_a_package_is_pushed_through_either_protocol(device: Adb, package: Path, v2: bool) -> None:
    device._v2 = v2
    first = push(device, package, ROOT, ignored)
    assert first > len(FILES["model/weights"])
    assert push(device, package, ROOT, ignored) < first / 100
    make_package(package, {"model/weights": "new"})
    assert push(device, package, ROOT, ignored) < first / 100
    assert device.check(f"cat {ROOT}/model/weights") == "new"
    assert device.check(f"stat -c %a {ROOT}/train.sh {ROOT}/model/weights {ROOT}/model") == "700\n600\n700\n"


@pytest.mark.parametrize("android", [8, 10, 14])
def test_results_come_back_from_an_android_of_any_age(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, android: int
) -> None:
    writes = (
        'cd "$(dirname "$0")"; mkdir -p output; printf w >output/a.safetensors; echo {} >output/metrics.jsonl; exit 3'
    )
    make_package(package, {"train.sh": f"{writes}\n"})
    with emulated_device(Hardware(android=android)) as device:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.adb_server_port))
        target = AdbTarget(Adb(device.serial), ARM64)
        for _ in range(2):
            target.push(package, ignored)
        assert target.run("train.sh", [], lambda line: None) == 3
        target.pull(tmp_path / "results")
        content = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
        assert content == {"a.safetensors": "w", "metrics.jsonl": "{}\n"}
        # A link in the way, as a real shell makes it.
        device.shell(f"rm -r {ROOT}/output && ln -s /sdcard {ROOT}/output")
        with pytest.raises(TargetError, match=f"{ROOT}/output would lead what is written there elsewhere"):
            target.push(package, ignored)


def test_a_wedged_server_is_an_error_and_no_standstill(
    emulator: EmulatedDevice, device: Adb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module.ask, "__defaults__", (1.0,))
    server = processes.running(emulator.ledger, "server")
    assert server
    processes.send(server, signal.SIGSTOP)
    try:
        with pytest.raises(TargetError, match="does not answer"):
            choose(emulator.serial)
    finally:
        processes.send(server, signal.SIGCONT)
    assert device.execute("true").code == 0


def test_a_device_unplugged_during_a_push_cleans_itself_up(
    emulator: EmulatedDevice, device: Adb, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.targets.adb.push.RETURN_S", 0.1)
    make_package(package, {"model/large": bytes(30 << 20)})
    cut = unplugged(emulator)

    def cut_off(done: int, total: int) -> None:
        if done > 2 << 20 and not cut_at:
            cut_at.append(done)
            cut.__enter__()

    cut_at: list[int] = []
    try:
        with pytest.raises(ConnectionLost, match="plug it in again"):
            push(device, package, ROOT, cut_off)
    finally:
        cut.__exit__(None, None, None)
    wait_for(lambda: emulator.shell(f"find {ROOT.parent} -type f 2>/dev/null || true") == "")
    push(device, package, ROOT, ignored)
    assert device.check(f"stat -c %s {ROOT}/model/large") == f"{30 << 20}\n"


def test_a_job_goes_on_unplugged_and_its_lines_come_once(emulator: EmulatedDevice, device: Adb, package: Path) -> None:
    target = AdbTarget(device, ARM64)
    target.push(package, ignored)
    lines: list[str] = []
    job, codes = started(target, "eval.sh", lines.append)
    wait_for(lambda: "line 1" in lines)
    with unplugged(emulator):
        time.sleep(1)
    job.join(timeout=90)
    assert codes == [5]
    assert lines == LINES


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_a_job_goes_on_when_adbd_is_killed(emulator: EmulatedDevice, device: Adb, package: Path, v2: bool) -> None:
    device._v2 = v2
    target = AdbTarget(device, ARM64)
    target.push(package, ignored)
    lines: list[str] = []
    job, codes = started(target, "eval.sh", lines.append)
    wait_for(lambda: AdbTarget(Adb(emulator.serial), ARM64).status() == "running eval.sh")
    restart_adbd(emulator)
    job.join(timeout=90)
    assert (codes, lines) == ([5], LINES)


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_followers_that_take_turns_add_nothing_to_a_long_jobs_lines(device: Adb, package: Path, v2: bool) -> None:
    job = (PACKAGING / "job.sh").read_text().replace("-ge 15", "-ge 2")
    make_package(package, {"job.sh": job, "eval.sh": "echo a; sleep 4; printf b; sleep 4; echo c; exit 74\n"})
    device._v2 = v2
    target = AdbTarget(device, ARM64)
    target.push(package, ignored)
    lines: list[str] = []
    assert target.run("eval.sh", [], lines.append) == 74
    assert lines == ["a", "bc"]


def test_a_running_job_is_attached_to_and_no_other_starts(emulator: EmulatedDevice, device: Adb, package: Path) -> None:
    target, other = AdbTarget(device, ARM64), AdbTarget(Adb(emulator.serial), ARM64)
    target.push(package, ignored)
    job, codes = started(target, "eval.sh")
    wait_for(lambda: other.status() == "running eval.sh")
    with pytest.raises(TargetError, match=r"another job runs: eval\.sh: `invoke attach` shows the job"):
        other.run("train.sh", [], lambda line: None)
    with pytest.raises(TargetError, match="runs a job: `invoke attach` shows it"):
        other.push(package, ignored)
    lines: list[str] = []
    codes.append(other.attach(lines.append))
    job.join(timeout=60)
    assert codes == [5, 5]
    assert lines == LINES


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_followers_that_lost_their_caller_end_while_the_job_goes_on(
    emulator: EmulatedDevice, device: Adb, package: Path, v2: bool
) -> None:
    device._v2 = v2
    target = AdbTarget(device, ARM64)
    target.push(package, ignored)
    job, codes = started(target, "train.sh")
    wait_for(lambda: bool(followers(emulator)))
    first = followers(emulator)
    with unplugged(emulator):
        time.sleep(1)
    wait_for(lambda: not first & followers(emulator))
    assert target.status() == "running train.sh"
    target.stop()
    job.join(timeout=60)
    assert codes == [143]


@pytest.mark.parametrize("v2", [True, False], ids=["shell-v2", "exec"])
def test_a_job_is_stopped_and_a_killed_one_keeps_no_lock(
    emulator: EmulatedDevice, device: Adb, package: Path, v2: bool
) -> None:
    device._v2 = v2
    target = AdbTarget(device, ARM64)
    target.push(package, ignored)
    errors: list[str] = []

    def run() -> None:
        try:
            target.run("train.sh", [], lambda line: None)
        except TargetError as error:
            errors.append(str(error))

    statuses: list[str] = []
    for end in (target.stop, lambda: emulator.shell(f"kill -s KILL -- -$(cat {ROOT}/job/pid)")):
        job = threading.Thread(target=run)
        job.start()
        wait_for(lambda: target.status() == "running train.sh" and bool(device.execute(f"cat {ROOT}/job/log").text))
        end()
        job.join(timeout=60)
        statuses.append(target.status())
    assert statuses == ["ended 143", "died"]
    killed = "the job was killed; the device may have run out of memory, or restarted"
    assert errors == [f"{emulator.serial}: {killed}: `invoke run --target arm64 --resume` goes on"]
    assert target.run("eval.sh", [], lambda line: None) == 5


def started(target: AdbTarget, script: str, on_line: OnLine = lambda line: None) -> tuple[threading.Thread, list[int]]:
    """A thread that runs a script on the device, and the list that takes its exit code."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(target.run(script, [], on_line)))
    thread.start()
    return thread, codes


def followers(emulator: EmulatedDevice) -> set[int]:
    """Processes, as this machine sees them, that follow a job of this device."""
    init = processes.running(emulator.ledger, "device")
    assert init
    namespace = Path(f"/proc/{init.pid}/ns/pid").readlink()
    found = set()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            follows = f"{ROOT}/job.sh\0follow".encode() in command.read_bytes()
            if follows and (command.parent / "ns" / "pid").readlink() == namespace:
                found.add(int(command.parent.name))
    return found


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


ODD_NAMES = ("-rf ;$(touch evil)", '`id` "*"', "it's  two", " ", "größe 漢", "~", "#&|<>", "%2E%2E", "--")


def test_names_of_any_plain_characters_arrive_and_are_no_commands(device: Adb, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"dataset/{name}/{name}.bmp": name for name in ODD_NAMES}
    package = make_package(tmp_path / "package", FILES | files)
    push(device, package, ROOT, ignored)
    # Of the second push nothing but lists travels: the device's digests are those of the manifest.
    assert push(device, package, ROOT, ignored) < 20_000
    assert "evil" not in device.check(f"find {FOLDER} -name evil")
    (package / "dataset" / ODD_NAMES[0] / f"{ODD_NAMES[0]}.bmp").unlink()
    make_package(package, {})
    push(device, package, ROOT, ignored)
    assert device.check(f"ls {ROOT}/dataset").count("touch evil") == 0


def test_results_with_a_name_of_two_lines_are_refused_and_plain_ones_are_pulled(
    device: Adb, package: Path, tmp_path: Path
) -> None:
    push(device, package, ROOT, ignored)
    device.check(
        f"mkdir {ROOT}/output && cd {ROOT}/output && echo x >'$(touch evil) it is.txt' && echo y >metrics.jsonl"
    )
    target = AdbTarget(device, ARM64)
    assert {path.name for path in target.pull(tmp_path / "first")} == {"$(touch evil) it is.txt", "metrics.jsonl"}
    device.check(f"cd {ROOT}/output && echo z >\"$(printf 'a\\n%064d 1 ..' 0)\"")
    with pytest.raises(TargetError, match="nothing was pulled"):
        target.pull(tmp_path / "second")
    assert not (tmp_path / "second").exists()
