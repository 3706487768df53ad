"""The device as a target, its connection lost wherever it hurts: the same lines, the same results, or a named error."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from pipeline.errors import PipelineError, TargetError
from pipeline.packing.abi import ARM64
from pipeline.packing.runtime import PACKAGING
from pipeline.targets import device
from pipeline.targets.adb.adb import ConnectionLost
from pipeline.targets.device import AdbTarget, InterruptedHere, package_on_device
from tests.pipeline.targets.stand_in import StandIn, content_of, lose, make_package

WRITES = "mkdir -p output; echo weights >output/lenet_trained_2.safetensors; echo '{}' >output/metrics.jsonl\n"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What is /data/local/tmp on a device; a job that a test leaves is ended."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(device, "BASE", PurePosixPath(folder))
    job = root() / "job.sh"
    yield folder
    if job.exists():
        subprocess.run(["sh", job, "stop"], capture_output=True, timeout=60, check=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    shutil.copy(PACKAGING / "job.sh", folder)
    enter = 'cd "$(dirname "$0")"\n'
    return make_package(
        folder,
        {
            "train.sh": f"{enter}{WRITES}for i in 1 2 3; do echo line $i; done; printf last; exit 3\n",
            "wait.sh": f"{enter}echo started; while [ ! -f go ]; do sleep 0.05; done\n",
        },
    )


def root() -> Path:
    """Where the package is on the device."""
    return Path(package_on_device(ARM64))


def ignored(done: int, total: int) -> None:
    """Takes progress and does nothing."""


def pushed(adb: StandIn, package: Path) -> AdbTarget:
    target = AdbTarget(adb, ARM64)
    target.push(package, ignored)
    return target


def run(target: AdbTarget, script: str = "train.sh") -> tuple[int, list[str]]:
    lines: list[str] = []
    return target.run(script, [], lines.append), lines


EXPECTED = (3, ["line 1", "line 2", "line 3", "last"])


def test_lines_come_one_by_one_and_the_exit_code_is_the_scripts(disk: Path, package: Path) -> None:
    assert run(pushed(StandIn(), package)) == EXPECTED


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("word", ["job.sh start", "job.sh follow"])
def test_a_lost_connection_changes_nothing(disk: Path, package: Path, word: str, moment: str) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    setattr(adb, moment, lose(2 if word == "job.sh follow" else 1, word))
    assert run(target) == EXPECTED
    assert adb.reconnections > 0


def test_a_device_that_does_not_come_back_is_an_error(disk: Path, package: Path) -> None:
    adb = StandIn()
    target = pushed(adb, package)

    def away(timeout_s: float) -> None:
        raise ConnectionLost("stand-in did not come back")

    adb.reconnect = away  # type: ignore[method-assign]
    adb.before = lose(1, "job.sh follow")
    with pytest.raises(ConnectionLost, match="did not come back, `invoke run --target arm64 --resume` goes on to"):
        run(target)


def test_a_full_disk_of_the_host_is_not_taken_for_a_lost_device(disk: Path, package: Path) -> None:
    adb = StandIn()
    target = pushed(adb, package)

    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        target.run("train.sh", [], full)
    assert adb.reconnections == 0


def test_an_interrupted_user_is_told_that_the_job_goes_on(disk: Path, package: Path) -> None:
    target = pushed(StandIn(), package)

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedHere, match="the job on stand-in goes on: `invoke attach` shows it, `invoke stop`"):
        target.run("wait.sh", [], interrupted)
    assert target.status() == "running wait.sh"


def test_who_waits_for_a_lost_device_is_told_and_may_leave(
    disk: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adb = StandIn()
    target = pushed(adb, package)

    def tired(timeout_s: float) -> None:
        raise KeyboardInterrupt

    adb.reconnect = tired  # type: ignore[method-assign]
    adb.before = lose(1, "job.sh follow")
    with pytest.raises(InterruptedHere, match="the job on stand-in goes on: `invoke attach` shows it"):
        target.run("wait.sh", [], lambda line: None)
    said = "lost stand-in: waiting for it; what runs there goes on (Ctrl-C leaves it running)\n"
    assert capsys.readouterr().err == said


def test_while_a_job_runs_nothing_else_starts_and_nothing_is_pushed(disk: Path, package: Path) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    adb.after = lose(1, "job.sh follow")

    def away(timeout_s: float) -> None:
        raise ConnectionLost("stand-in did not come back")

    adb.reconnect = away  # type: ignore[method-assign]
    adb.before = lose(1, "job.sh follow")
    with pytest.raises(ConnectionLost):
        run(target, "wait.sh")
    with pytest.raises(TargetError, match="runs a job: `invoke attach` shows it, `invoke stop` ends it"):
        target.push(package, ignored)
    with pytest.raises(TargetError, match=r"another job runs: wait\.sh: `invoke attach`"):
        run(target)
    target.stop()
    assert target.status() == "ended 143"
    with pytest.raises(TargetError, match="no job runs"):
        target.stop()


def test_attach_shows_a_job_from_its_beginning_and_needs_one(disk: Path, package: Path) -> None:
    target = pushed(StandIn(), package)
    with pytest.raises(TargetError, match="has run no job: start one with"):
        target.attach(lambda line: None)
    run(target)
    lines: list[str] = []
    assert (target.attach(lines.append), lines) == EXPECTED


def test_a_device_without_a_package_has_no_job(disk: Path) -> None:
    assert AdbTarget(StandIn(), ARM64).status() == "none"
    with pytest.raises(TargetError, match=r"stand-in: no job runs$"):
        AdbTarget(StandIn(), ARM64).stop()


@pytest.mark.parametrize("code", [70, 74])
def test_a_scripts_own_exit_code_is_not_taken_for_what_job_sh_says(disk: Path, package: Path, code: int) -> None:
    make_package(package, {"train.sh": f"echo line; exit {code}\n"})
    assert run(pushed(StandIn(), package)) == (code, ["line"])


def test_a_follower_that_gives_up_on_a_long_job_is_followed_by_another(disk: Path, package: Path) -> None:
    job = package / "job.sh"
    make_package(
        package,
        {
            "job.sh": job.read_text().replace("-ge 15", "-ge 1"),
            "train.sh": "for i in 1 2 3; do printf 'line '; sleep 1; echo $i; done; printf last; exit 3\n",
        },
    )
    adb = StandIn()
    assert run(pushed(adb, package)) == EXPECTED
    assert adb.reconnections == 0


def test_results_that_cannot_be_listed_are_not_taken_for_none(disk: Path, package: Path, tmp_path: Path) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    run(target)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "stat").write_text("#!/bin/sh\necho stat: I/O error >&2; exit 1\n")
    (tools / "stat").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        with pytest.raises(TargetError, match="output cannot be read: stat: I/O error"):
            target.pull(tmp_path / "results")


def test_results_are_pulled_whole(disk: Path, package: Path, tmp_path: Path) -> None:
    target = pushed(StandIn(), package)
    run(target)
    pulled = target.pull(tmp_path / "results")
    assert {path.name for path in pulled} == {"lenet_trained_2.safetensors", "metrics.jsonl"}
    assert content_of(tmp_path / "results") == {
        "lenet_trained_2.safetensors": b"weights\n",
        "metrics.jsonl": b"{}\n",
    }


def test_a_file_that_grows_is_pulled_as_it_was_listed(disk: Path, package: Path, tmp_path: Path) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    run(target)
    metrics = root() / "output" / "metrics.jsonl"

    # A line that is being written is none yet.
    metrics.write_text(metrics.read_text() + '{"mo')

    def grow(command: str) -> None:
        if command.startswith("cd "):
            metrics.write_text(metrics.read_text() + 're": 1}\n' * 100_000)

    adb.after = grow
    target.pull(tmp_path / "results")
    assert (tmp_path / "results" / "metrics.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("kind", ["lost", "damaged", "gone"])
def test_a_pull_that_fails_leaves_no_file_under_a_final_name(
    disk: Path, package: Path, tmp_path: Path, kind: str
) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    run(target)
    checkpoint = root() / "output" / "lenet_trained_2.safetensors"

    def spoil(command: str) -> None:
        if command.startswith("cat ") and kind == "damaged":
            checkpoint.write_text("WEIGHTS\n")
        elif command.startswith("cat ") and kind == "gone":
            checkpoint.unlink(missing_ok=True)

    adb.before = spoil
    adb.after = lose(2, "cat ") if kind == "lost" else adb.after
    with pytest.raises(PipelineError):
        target.pull(tmp_path / "results")
    assert content_of(tmp_path / "results") == {}


@pytest.mark.parametrize("word", ["job.sh status", "for f in", "cat ", "stat -c %s", ".pulled"])
def test_a_connection_that_breaks_in_a_pull_is_made_again(disk: Path, package: Path, tmp_path: Path, word: str) -> None:
    adb = StandIn()
    target = pushed(adb, package)
    run(target)
    adb.after = lose(1, word)
    assert target.unpulled()
    assert not target.running()
    assert {path.name for path in target.pull(tmp_path)} == {"metrics.jsonl", "lenet_trained_2.safetensors"}
    target.mark_pulled(3)
    assert not target.unpulled()
    assert adb.reconnections == 1


def test_a_push_that_was_cut_off_is_begun_again(disk: Path, package: Path) -> None:
    adb = StandIn()
    adb.after = lose(1, "tar -xf")
    assert run(pushed(adb, package)) == EXPECTED


def test_what_was_cleared_is_not_pulled(disk: Path, package: Path, tmp_path: Path) -> None:
    target = pushed(StandIn(), package)
    assert target.pull(tmp_path) == []
    run(target)
    target.clear_output()
    assert target.pull(tmp_path) == []
    assert not target.unpulled()


def test_a_training_is_unpulled_until_what_it_recorded_is_marked(disk: Path, package: Path, tmp_path: Path) -> None:
    target = pushed(StandIn(), package)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    target.put([tmp_path / "metrics.jsonl"])
    assert target.unpulled()
    target.mark_pulled(3)
    assert not target.unpulled()
    assert [path.name for path in target.pull(tmp_path / "here")] == ["metrics.jsonl"]
    (tmp_path / "metrics.jsonl").write_text("{}\n{}\n")
    target.put([tmp_path / "metrics.jsonl"])
    assert target.unpulled()


@pytest.mark.parametrize(
    "planted", ["", "package-arm64", "package-arm64.new", "package-arm64/output", "package-arm64/model", "other/deep"]
)
def test_a_link_that_leads_out_of_our_folder_is_refused_by_name(
    disk: Path, package: Path, tmp_path: Path, planted: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = root().parent / planted
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetError, match=f"{link} would lead what is written there elsewhere: remove"):
        AdbTarget(StandIn(), ARM64).push(package, ignored)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(disk: Path, package: Path) -> None:
    disk.rmdir()
    with pytest.raises(TargetError, match="cannot be written to, or its disk is full"):
        pushed(StandIn(), package)
