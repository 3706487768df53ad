"""`invoke report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.results.reporting import report
from pipeline.settings import Settings
from tests.pipeline.results.made import guessed, write_results


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("20260101-000000-lenet-arm64", "20260102-000000-lenet-arm64"):
        write_results(tmp_path / "runs" / name, ("a", "b"), guessed([0, 1], [0, 0]))
    return tmp_path / "runs"


def test_without_a_name_it_is_the_newest(runs: Path) -> None:
    page = report(Settings(runs=runs))
    assert page == runs / "20260102-000000-lenet-arm64" / "report.html"
    assert not (runs / "20260101-000000-lenet-arm64" / "report.html").exists()


def test_several_are_compared(runs: Path, tmp_path: Path) -> None:
    names = tuple(Path(folder.name) for folder in sorted(runs.iterdir()))
    assert report(Settings(runs=runs, paths=names)) == runs / "comparison.html"
    page = report(Settings(runs=runs, paths=names, output=tmp_path / "page.html"))
    assert page.read_text() == (runs / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"paths": (Path("other"),)}, "other: neither that nor"),
        ({"output": Path("page.html")}, "--output is where several folders are compared"),
        ({"runs": Path("/nowhere")}, "/nowhere has no results to report on"),
    ],
)
def test_what_cannot_be_meant_is_told(runs: Path, settings: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        report(Settings(**{"runs": runs, **settings}))  # type: ignore[arg-type]
