"""Results folders side by side: their curves over one another, and a table of what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError, in_line
from pipeline.results.pages.charts import Line, draw, scaled, title_of
from pipeline.results.pages.drawing import COLOURS
from pipeline.results.pages.facts import UNKNOWN, Fact, facts_of
from pipeline.results.pages.page import write_page
from pipeline.results.pages.picture import Picture
from pipeline.results.records.results import Results, read_results
from pipeline.results.records.training import Curve, Training

FILE_NAME = "comparison.html"

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Row:
    """A fact of each folder."""

    group: str
    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether not all are the same."""
        return len(set(self.values)) > 1


def compare(folders: Sequence[Path], output: Path) -> Path:
    """Writes a page that lays results folders side by side; returns its path.

    Args:
      folders: two or more.
      output: the page.

    Raises:
      FormatError: the results in one of them are damaged, or of no training.
      UsageError: there are more folders than letters.
      PipelineError: the page cannot be written.
    """
    if len(folders) > len(_LETTERS):
        raise UsageError(f"{len(folders)} folders are more than a page can lay side by side: give {len(_LETTERS)}")
    found = [read_results(folder) for folder in folders]
    letters = _LETTERS[: len(found)]
    rows = rows_of(found)
    write_page(
        "comparison.html",
        output,
        title=f"Comparison of {len(found)} runs",
        folders=list(zip(letters, [in_line(results.folder.resolve().name) for results in found], strict=True)),
        letters=letters,
        charts=_charts([results.training for results in found], letters),
        differing=[row for row in rows if row.differs],
        equal=[Fact(row.group, row.name, row.values[0]) for row in rows if not row.differs],
    )
    return output


def rows_of(found: Sequence[Results]) -> list[Row]:
    """All that is known of any of them."""
    known = [{(fact.group, fact.name): fact.value for fact in facts_of(results)} for results in found]
    # In the order of the first; what others have beside it comes last in its group.
    names = list(dict.fromkeys(name for facts in known for name in facts))
    groups = list(dict.fromkeys(group for group, _ in names))
    names.sort(key=lambda name: groups.index(name[0]))
    rows = [Row(*name, tuple(facts.get(name) or UNKNOWN for facts in known)) for name in names]
    return [row for row in rows if set(row.values) != {UNKNOWN}]


def _charts(trainings: Sequence[Training], letters: Sequence[str]) -> list[Picture]:
    named = list(enumerate(zip(letters, trainings, strict=True)))
    losses = [Line(letter, training.loss, noisy=True) for _, (letter, training) in named]
    step_times = [Line(letter, scaled(training.step_seconds, 1000), noisy=True) for _, (letter, training) in named]
    scores: dict[str, list[Line]] = {}
    for number, (letter, training) in named:
        scores.setdefault(training.measure, []).extend(
            # A run has its colour, a split its dashes.
            Line(f"{letter} {split}", curve, look=number % len(COLOURS) + len(COLOURS) * dashes)
            for dashes, (split, curve) in enumerate([*training.scores.items(), *_sampled(training)])
        )
    wanted = (
        ("loss", "Loss", "loss", losses),
        *((measure, title_of(measure), measure, lines) for measure, lines in scores.items()),
        ("step_time", "Time of a step", "ms", step_times),
    )
    return [
        Picture(name, title, draw(unit, lines))
        for name, title, unit, lines in wanted
        if any(line.curve for line in lines)
    ]


def _sampled(training: Training) -> list[tuple[str, Curve]]:
    """Of a training that evaluates all images at its end alone, the scores on the way."""
    points = max((len(curve.steps) for curve in training.scores.values()), default=0)
    return [("some test", training.sampled)] if points <= 1 and training.sampled else []
