"""`invoke report` and `invoke runs` where there are fleets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.fleet.records import FILE_NAME
from pipeline.fleet.results import report, rows_of
from pipeline.results.listing import list_runs
from pipeline.settings import Settings
from tests.pipeline.fleet.made import fleet, write_fleet
from tests.pipeline.results.made import guessed, write_results

TRAINING, FLEET = "20260101-000000-lenet-arm64", "20260102-000000-fleet-lenet"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_results(tmp_path / "runs" / TRAINING, ("a", "b"), guessed([0, 1], [0, 0]))
    write_fleet(tmp_path / "runs" / FLEET, fleet(last=2))
    return tmp_path / "runs"


def test_the_newest_is_a_fleets_or_a_trainings(runs: Path) -> None:
    assert report(Settings(runs=runs)) == runs / FLEET / "report.html"
    (runs / FLEET).rename(runs / "20251231-000000-fleet-lenet")
    assert report(Settings(runs=runs)) == runs / TRAINING / "report.html"


def test_one_is_named_or_at_a_path(runs: Path, tmp_path: Path) -> None:
    for named in (Path(FLEET), runs / FLEET):
        (runs / FLEET / "report.html").unlink(missing_ok=True)
        assert report(Settings(runs=runs, paths=(named,))).is_file()
    assert report(Settings(runs=runs, paths=(Path(TRAINING),))) == runs / TRAINING / "report.html"


def test_a_fleet_is_not_compared(runs: Path) -> None:
    for paths, output in (((TRAINING, FLEET), None), ((FLEET,), Path("page.html"))):
        with pytest.raises(UsageError, match=f"{FLEET} is a fleet's, which is compared with none: report on it alone"):
            report(Settings(runs=runs, paths=tuple(map(Path, paths)), output=output))


def test_fleets_are_lines_among_the_trainings(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fleet(runs / "20251231-000000-fleet-lenet", fleet()[:1])
    (runs / "20251230-000000-fleet-lenet").mkdir()
    (runs / "20251230-000000-fleet-lenet" / FILE_NAME).write_text("what\n")
    list_runs(runs, rows_of(runs))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines[0][2:] == [FLEET, "lenet", "fleet", "of", "4", "0.9778", "2", "rounds", "ended"]
    assert lines[1][2] == TRAINING
    assert lines[2][2:] == [
        "20251231-000000-fleet-lenet", "lenet", "fleet", "of", "0", "-", "0", "rounds", "interrupted",
    ]  # fmt: skip
    assert lines[3][:7] == ["-", "20251230-000000-fleet-lenet", "-", "-", "-", "-", "damaged:"]
