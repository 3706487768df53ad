"""The report stage: a results folder → report.html, one file that opens anywhere, and PNG files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import package_digest, read_manifest
from pipeline.errors import in_line
from pipeline.files import new_file
from pipeline.results.pages.charts import charts_of
from pipeline.results.pages.confusion import Confused, confusion_matrix, most_confused
from pipeline.results.pages.each import each_of
from pipeline.results.pages.facts import DEVICE, MODEL, OPTIONS, VERSIONS, Fact, facts_of, result_rows
from pipeline.results.pages.names import names_of
from pipeline.results.pages.page import write_page
from pipeline.results.pages.picture import Picture
from pipeline.results.pages.wrong import Wrong, sheet, wrong_images
from pipeline.results.records.results import Predicted, Results, read_results

FILE_NAME = "report.html"

# Each a file `<name>.png`.
_PICTURES = (
    *("loss", "accuracy", "learning_rate", "step_time", "memory", "temperature", "battery"),
    *("confusion", "wrong_images"),
)


@dataclass(frozen=True)
class Mistakes:
    """What the model gets wrong.

    Attributes:
      split: the images that were evaluated.
      images: how many.
      wrong: how many of them are taken for another class.
      matrix: None where the classes are too many to be drawn.
      confused: the pairs that are confused most.
      shown: some of the images; empty where the dataset is not at hand.
      sheet: all of `shown` in one picture, which an earlier report may have made.
    """

    split: str
    images: int
    wrong: int
    matrix: Picture | None
    confused: Sequence[Confused]
    shown: Sequence[Wrong]
    sheet: Picture | None


def write_report(folder: Path, dataset: Path | None = None) -> Path:
    """Writes report.html of a results folder, and its PNG files; returns its path.

    Args:
      folder: what was pulled, and what the host added.
      dataset: the images that were evaluated, where they are at hand.

    Raises:
      FormatError: the results are damaged, or of no training.
      PipelineError: the folder cannot be written to.
    """
    results = read_results(folder)
    charts = charts_of(results.training)
    mistakes = _mistakes(results, results.predicted, dataset) if results.predicted else None
    drawn = [*charts, *((mistakes.matrix, mistakes.sheet) if mistakes else ())]
    _write_pictures(folder, [picture for picture in drawn if picture])
    path = folder / FILE_NAME
    write_report_page(path, results, charts, mistakes)
    return path


def write_report_page(path: Path, results: Results, charts: Sequence[Picture], mistakes: Mistakes | None) -> None:
    """Writes the page alone."""
    facts, training = facts_of(results), results.training
    write_page(
        "report.html",
        path,
        results=results,
        training=training,
        title=f"{in_line(training.model)}, {training.steps:,} step{'' if training.steps == 1 else 's'}",
        subtitle=_subtitle(results),
        tiles=result_rows(training),
        charts=charts,
        mistakes=mistakes,
        each=each_of(training.each),
        device=_of(facts, DEVICE),
        model=_of(facts, MODEL),
        options=_of(facts, OPTIONS),
        unset=[fact.name for fact in facts if fact.group == OPTIONS and not fact.value],
        versions=_of(facts, VERSIONS),
    )


def _subtitle(results: Results) -> str:
    began, machine = results.training.began, results.machine
    device = " with ".join(filter(None, (machine.model, machine.processor))) if machine else ""
    return ", on ".join(filter(None, (f"began {began:%Y-%m-%d %H:%M:%S}" if began else "", device or results.target)))


def dataset_at_hand(build: Path, digest: str) -> Path | None:
    """The dataset of the package of that digest, as far as it is still in the build folder."""
    for manifest in sorted(build.glob(f"package-*/{MANIFEST}")):
        try:
            if digest and package_digest(read_manifest(manifest)) == digest:
                return manifest.parent / "dataset"
        except FormatError:
            # Of a damaged package nothing is shown.
            continue
    return None


def _mistakes(results: Results, predicted: Predicted, dataset: Path | None) -> Mistakes:
    predictions = predicted.predictions
    names = names_of(results.about.classes if results.about else (), predicted.classes)
    wrong = len(predictions.wrong())
    shown: list[Wrong] = []
    if wrong and dataset:
        try:
            shown = wrong_images(dataset, predicted, names)
        except FormatError:
            # Damaged or changed by now: the numbers stand without its images.
            shown = []
    return Mistakes(
        split=predicted.split,
        images=len(predictions.labels),
        wrong=wrong,
        matrix=confusion_matrix(predictions, names),
        confused=most_confused(predictions, names),
        shown=shown,
        sheet=sheet(shown) if shown else _earlier_sheet(results.folder, wrong),
    )


def _earlier_sheet(folder: Path, wrong: int) -> Picture | None:
    path = folder / "wrong_images.png"
    return Picture("wrong_images", "Images that it gets wrong", path.read_bytes()) if wrong and path.is_file() else None


def _write_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    """Writes them, and removes those of an earlier report that are no more."""
    for picture in pictures:
        with new_file(folder / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png)
    for name in set(_PICTURES) - {picture.name for picture in pictures}:
        (folder / f"{name}.png").unlink(missing_ok=True)


def _of(facts: Sequence[Fact], group: str) -> list[Fact]:
    return [fact for fact in facts if fact.group == group and fact.value]
