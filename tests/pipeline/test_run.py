"""Scripts that fail, and what cannot go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.manifest import Manifest, write_manifest
from pipeline.errors import RunFailed, TargetError
from pipeline.run import go_on
from pipeline.running.scripts import run_script
from pipeline.settings import Settings
from tests.pipeline.targets.saying import Saying


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("10: Loss", "error: training diverged"), "train.sh on x86: training diverged"),
        (("10: Loss", "Killed"), "train.sh on x86 ended with exit code 3: Killed"),
        ((), "train.sh on x86 ended with exit code 3: no output"),
    ],
)
def test_why_a_script_failed_is_said_once(lines: tuple[str, ...], message: str) -> None:
    said: list[str] = []
    with pytest.raises(RunFailed) as caught:
        run_script(Saying(3, *lines), "train.sh", [], said.append)
    assert str(caught.value) == message
    assert said == [line for line in lines if not line.startswith("error: ")]


class Busy(Saying):
    """A target that runs something of which it holds no record yet."""

    def running(self) -> bool:
        return True


def test_a_job_that_has_recorded_nothing_yet_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package-x86").mkdir()
    write_manifest(tmp_path / "package-x86", Manifest("x86", "tiny", (), {}))
    monkeypatch.setattr("pipeline.run.connect", lambda settings, package: Busy(0))
    with pytest.raises(TargetError, match="x86 runs a job that has recorded no step of a training yet"):
        go_on(Settings(build=tmp_path, runs=tmp_path / "runs", resume=""))
    assert not (tmp_path / "runs").exists()
