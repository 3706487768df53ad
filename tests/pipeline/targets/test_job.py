"""packaging/job.sh: one job at a time, detached, its output from any byte on, its exit code, and no stale lock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.packing.runtime import PACKAGING

BUSY, DIED = 75, 70
WAITS = "echo started; while [ ! -f go ]; do sleep 0.05; done; echo over; exit 3\n"


class Package:
    """A package's folder with job.sh and scripts in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(PACKAGING / "job.sh", folder)

    def script(self, name: str, body: str) -> None:
        (self.folder / name).write_text(f"cd {self.folder.as_posix()!r}\n{body}")

    def job(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(words), capture_output=True, timeout=60, check=False, cwd="/")

    def command(self, words: Sequence[str]) -> list[str]:
        return ["sh", str(self.folder / "job.sh"), *words]

    def status(self) -> str:
        return self.job("status").stdout.decode().strip()

    def wait(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return (self.folder / "job" / "log").read_text()


def ended(pid: int) -> bool:
    """Whether a process has ended; nobody may have asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Package]:
    """A package in a folder with a blank in its name; its job, if there is one, is ended after the test."""
    (tmp_path / "a package").mkdir()
    made = Package(tmp_path / "a package")
    yield made
    if made.status().startswith("running"):
        made.job("stop")


def test_output_and_exit_code_come_through(package: Package) -> None:
    package.script("train.sh", 'echo "$# $1|$2"; echo err >&2; exit 3\n')
    assert package.status() == "none"
    assert package.job("start", "t1", "train.sh", "a b", "$HOME").returncode == 0
    followed = package.job("follow", "0")
    assert (followed.returncode, followed.stdout) == (3, b"2 a b|$HOME\nerr\n")
    assert package.status() == "ended 3"


def test_it_is_detached_and_follows_as_it_goes(package: Package) -> None:
    package.script("train.sh", WAITS)
    package.job("start", "t1", "train.sh")
    assert package.status() == "running train.sh"
    with subprocess.Popen(package.command(["follow", "0"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == b"started\n"
        follower.send_signal(signal.SIGHUP)
    assert package.status() == "running train.sh"
    (package.folder / "go").touch()
    again = package.job("follow", str(len("started\n")))
    assert (again.returncode, again.stdout) == (3, b"over\n")


@pytest.mark.parametrize(("offset", "rest"), [(0, b"caf\xc3\xa9\n"), (4, b"\xa9\n"), (6, b""), (100, b"")])
def test_an_offset_counts_bytes(package: Package, offset: int, rest: bytes) -> None:
    package.script("train.sh", "echo café\n")
    package.job("start", "t1", "train.sh")
    package.job("follow", "0")
    assert package.job("follow", str(offset)).stdout == rest


def test_a_second_job_is_refused_by_name_and_the_first_goes_on(package: Package) -> None:
    package.script("train.sh", WAITS)
    package.job("start", "t1", "train.sh")
    second = package.job("start", "t2", "eval.sh")
    assert (second.returncode, second.stderr) == (BUSY, b"another job runs: train.sh\n")
    (package.folder / "go").touch()
    assert package.job("follow", "0").stdout == b"started\nover\n"


def test_the_same_start_asked_again_starts_nothing(package: Package) -> None:
    package.script("train.sh", "echo once >>count\n")
    for _ in range(2):
        assert package.job("start", "t1", "train.sh").returncode == 0
        package.job("follow", "0")
    assert (package.folder / "count").read_text() == "once\n"
    assert package.job("start", "t2", "train.sh").returncode == 0
    package.job("follow", "0")
    assert (package.folder / "count").read_text() == "once\nonce\n"


def test_the_next_job_can_start_as_soon_as_one_has_been_followed_to_its_end(package: Package) -> None:
    package.script("eval.sh", "exit 0\n")
    for number in range(5):
        assert package.job("start", f"t{number}", "eval.sh").returncode == 0
        assert package.job("follow", "0").returncode == 0


def test_stop_ends_the_job_and_all_it_started_and_keeps_its_exit_code(package: Package) -> None:
    package.script("train.sh", "trap 'exit 143' TERM\nsleep 300 & echo $!\nwait\n")
    package.job("start", "t1", "train.sh")
    package.wait(lambda: package.log != "")
    assert package.job("stop").returncode == 0
    assert package.status() == "ended 143"
    package.wait(lambda: ended(int(package.log)))
    stopped = package.job("stop")
    assert (stopped.returncode, stopped.stderr) == (1, b"no job runs\n")


def test_a_killed_job_keeps_no_lock_and_is_not_taken_for_one_that_ended(package: Package) -> None:
    package.script("train.sh", WAITS)
    package.job("start", "t1", "train.sh")
    package.wait(lambda: package.log != "")
    os.killpg(int((package.folder / "job" / "pid").read_text()), signal.SIGKILL)
    package.wait(lambda: package.status() != "running train.sh")
    assert package.status() == "died"
    followed = package.job("follow", "0")
    assert (followed.returncode, followed.stdout, followed.stderr) == (
        DIED,
        b"started\n",
        b"the job died without an exit code\n",
    )
    package.script("eval.sh", "exit 0\n")
    assert package.job("start", "t2", "eval.sh").returncode == 0
    assert package.job("follow", "0").returncode == 0


def test_a_dead_jobs_id_that_another_program_has_got_is_not_followed(package: Package) -> None:
    package.script("train.sh", WAITS)
    package.job("start", "t1", "train.sh")
    package.wait(lambda: package.log != "")
    os.killpg(int((package.folder / "job" / "pid").read_text()), signal.SIGKILL)
    package.wait(lambda: package.status() == "died")
    (package.folder / "job" / "pid").write_text(f"{os.getpid()}\n")
    assert package.job("follow", "0").returncode == DIED


def test_one_who_asks_whether_a_job_runs_does_not_keep_it_from_starting(package: Package) -> None:
    package.script("eval.sh", "echo ran\n")
    (package.folder / "job").mkdir()
    with subprocess.Popen(["flock", str(package.folder / "job" / "lock"), "sleep", "0.3"]) as asker:
        package.wait(lambda: package.status().startswith("running"))
        assert package.job("hold", "t1", "eval.sh").returncode == 0
        asker.wait()
    assert package.log == "ran\n"


def test_those_who_ask_whether_a_job_runs_do_not_keep_it_from_starting(package: Package, tmp_path: Path) -> None:
    package.script("eval.sh", "exit 0\n")
    assert package.job("start", "t0", "eval.sh").returncode == 0
    assert package.job("follow", "0").returncode == 0
    asks = ["sh", "-c", 'while :; do sh "$0" status; done', str(package.folder / "job.sh")]
    with (tmp_path / "answers").open("wb") as out:
        askers = [subprocess.Popen(asks, stdout=out, stderr=out, start_new_session=True) for _ in range(3)]
    try:
        for number in range(1, 30):
            started = package.job("start", f"t{number}", "eval.sh")
            assert (started.returncode, started.stderr) == (0, b"")
            assert package.job("follow", "0").returncode == 0
    finally:
        for asker in askers:
            os.killpg(asker.pid, signal.SIGKILL)
            asker.wait()
    assert set((tmp_path / "answers").read_text().splitlines()) <= {"running eval.sh", "ended 0"}


def test_what_a_job_writes_is_its_users_alone_and_a_followers_copy_does_not_stay(package: Package) -> None:
    package.script("train.sh", "echo line; mkdir -p output; echo weights >output/weights\n")
    before = os.umask(0)
    try:
        package.job("start", "t1", "train.sh")
        assert package.job("follow", "0").stdout == b"line\n"
    finally:
        os.umask(before)
    places = [package.folder / "job", package.folder / "output"]
    assert [path for place in places for path in (place, *place.iterdir()) if path.stat().st_mode & 0o077] == []
    assert {path.name for path in places[0].iterdir()} == {"code", "lock", "log", "pid", "script", "token"}


@pytest.mark.parametrize("name", ["job", "output", "cache"])
def test_a_link_in_the_place_of_what_a_job_writes_is_refused(package: Package, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (package.folder / name).symlink_to(tmp_path / "elsewhere")
    started = package.job("start", "t1", "train.sh")
    assert (started.returncode, started.stderr) == (1, f"{package.folder / name} is a link: remove it\n".encode())
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (package.folder / name).unlink()


def test_an_unknown_word_is_refused(package: Package) -> None:
    assert package.job("restart").returncode == 2
