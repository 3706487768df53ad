"""about.json: what the host knew of a training when it collected the results, and its package no longer tells later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.dataset import read_description
from device_runtime.formats.model import FILE_NAME as MODEL
from device_runtime.formats.model import read_model
from pipeline.checking.check import FILE_NAME as CHECK
from pipeline.checking.check import line_of
from pipeline.datasets.photographs.account import FILE_NAME as ACCOUNT
from pipeline.datasets.photographs.account import Account, found_line, read_account, table_of
from pipeline.files import read_record, write_record

FILE_NAME = "about.json"


@dataclass(frozen=True)
class About:
    """What was trained, and on what.

    Attributes:
      classes: their names.
      data: what the conversion found, in lines.
      table: a row for each class, a heading first: its images in each split, and what was left out.
      check: what the model was compared with, in a line; empty where it was not.
      parameters: how many numbers of the model train.
      input: sizes of a sample, of a picture height × width × channels.
      optimizer: its name and its options.
    """

    classes: tuple[str, ...]
    data: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    check: str
    parameters: int
    input: str
    optimizer: str


def describe(package: Path, stages: Path) -> About:
    """What a package says, and the stages of its model.

    Args:
      package: its folder.
      stages: folder of the model's stages, `build/<model>/`.

    Raises:
      FormatError: the description of dataset or model is damaged.
      ModelError: the check's is.
    """
    dataset = package / "dataset"
    description, model = read_description(dataset), read_model(package / "model")
    # A package of an older version has no account of its data.
    account = read_account(dataset) if (dataset / ACCOUNT).is_file() else Account()
    return About(
        description.classes,
        (found_line(description), *account.told),
        tuple(tuple(row) for row in table_of(description, account)),
        _checked(stages),
        model.parameters_size,
        model.input.text,
        ", ".join([model.optimizer.name, *(f"{name} {value:g}" for name, value in model.optimizer.options.items())]),
    )


def _checked(stages: Path) -> str:
    check, made = stages / "check" / CHECK, stages / "model" / MODEL
    # With --no-check the one of an earlier model may still be there.
    if check.is_file() and made.is_file() and check.stat().st_mtime >= made.stat().st_mtime:
        return line_of(check.parent)
    return ""


def write_about(folder: Path, about: About) -> None:
    """Writes about.json.

    Raises:
      PipelineError: the folder cannot be written to.
    """
    write_record(folder / FILE_NAME, about)


def read_about(folder: Path) -> About | None:
    """Reads about.json; None where there is none.

    Raises:
      FormatError: it is damaged.
    """
    return read_record(folder / FILE_NAME, About)
