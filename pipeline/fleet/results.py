"""Results folders of fleets beside those of trainings: for `invoke report` and `invoke runs`."""

from __future__ import annotations

from pathlib import Path

from device_runtime.formats.errors import FormatError
from pipeline.errors import UsageError
from pipeline.fleet.history import read_history
from pipeline.fleet.records import FILE_NAME
from pipeline.fleet.report import write_report
from pipeline.progress import stage
from pipeline.results.listing import Row, damaged_row
from pipeline.results.records.results import results_folders
from pipeline.results.reporting import report as report_of_trainings
from pipeline.settings import Settings


def report(settings: Settings) -> Path:
    """Writes the report of one results folder, of a fleet too, or a comparison of trainings; returns the page.

    Raises:
      UsageError: one that is named is none, or there is none at all.
      FormatError: one is damaged.
    """
    folder = _meant(settings)
    if folder is None:
        return report_of_trainings(settings)
    with stage("report"):
        return write_report(folder)


def rows_of(runs: Path) -> list[Row]:
    """A line of the table of results for each fleet in `runs`."""
    return [_row(folder) for folder in fleet_folders(runs)]


def _meant(settings: Settings) -> Path | None:
    """The fleet's folder that is to be reported on; None where it is not one fleet's.

    Raises:
      UsageError: one is to be compared.
    """
    fleets = [fleet for given in settings.paths if (fleet := fleet_named(settings.runs, given))]
    if fleets and (settings.output or len(settings.paths) > 1):
        raise UsageError(f"{fleets[0]} is a fleet's, which is compared with none: report on it alone, without --output")
    if settings.output or settings.paths:
        return fleets[0] if fleets else None
    newest = max(
        [*fleet_folders(settings.runs), *results_folders(settings.runs)], key=lambda path: path.name, default=None
    )
    return newest if newest and (newest / FILE_NAME).is_file() else None


def fleet_named(runs: Path, given: Path) -> Path | None:
    """The results folder of a fleet by its path, or by its name in `runs`; None where it is no fleet's."""
    return next((folder for folder in (given, runs / given) if (folder / FILE_NAME).is_file()), None)


def fleet_folders(runs: Path) -> list[Path]:
    """The results folders of fleets in `runs`, the oldest first."""
    return sorted(path.parent for path in runs.glob(f"[!.]*/{FILE_NAME}"))


def _row(folder: Path) -> Row:
    try:
        history = read_history(folder)
    except FormatError as error:
        return damaged_row(folder, error)
    accuracy = history.told_accuracy.values
    return Row(
        began=history.began,
        name=folder.name,
        model=history.start["model"],
        target=f"fleet of {len(history.members):,}",
        score=accuracy[-1] if accuracy else None,
        measure="accuracy",
        steps=f"{max(history.costs, default=0):,} rounds",
        state=history.state,
    )
