"""`invoke report`: one results folder's report again, or several side by side."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UsageError
from pipeline.progress import stage
from pipeline.results.pages.comparison import FILE_NAME as COMPARISON
from pipeline.results.pages.comparison import compare
from pipeline.results.pages.report import dataset_at_hand, write_report
from pipeline.results.records.results import results_folder_of, results_folders
from pipeline.results.records.training import read_training
from pipeline.settings import Settings


def report(settings: Settings) -> Path:
    """Writes the report of one results folder, or a comparison of several; returns the page.

    Raises:
      UsageError: one that is named is none, or there is none at all.
      FormatError: one is damaged.
    """
    folders = [results_folder_of(settings.runs, given) for given in settings.paths] or results_folders(settings.runs)[
        :1
    ]
    if not folders:
        raise UsageError(f"{settings.runs} has no results to report on: `invoke run` makes some")
    with stage("report"):
        if len(folders) > 1:
            return compare(folders, settings.output or settings.runs / COMPARISON)
        if settings.output:
            raise UsageError("--output is where several folders are compared: leave it out, or name another folder")
        digest = read_training(folders[0]).package
        return write_report(folders[0], dataset_at_hand(settings.build, digest))
