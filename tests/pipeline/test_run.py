"""What cannot go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.manifest import Manifest, write_manifest
from pipeline.errors import TargetError
from pipeline.run import go_on
from pipeline.settings import Settings
from tests.pipeline.targets.saying import Saying


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
