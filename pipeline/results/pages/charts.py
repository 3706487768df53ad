"""Numbers over steps as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.results.pages.drawing import COLOURS, GREY, LINES, MARKS, figure, png_of, style
from pipeline.results.pages.names import short
from pipeline.results.pages.picture import Picture
from pipeline.results.records.training import Curve, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = npt.NDArray[np.float64]

# More than there are pixels.
_MOST_POINTS = 1500
# Fewer are shown as they are, each with a mark.
_FEW = 40
# A diverging loss grows beyond what an axis can be divided into.
_LARGEST = 1e30
# A trend is the medians over parts of a training: at most so many parts, of at least so many steps.
_MOST_PARTS, _SHORTEST_PART = 40, 8
_MIB = 2**20
_LONGEST_LABEL = 30


@dataclass(frozen=True)
class Line:
    """A curve with what it is called.

    Attributes:
      label: empty for a curve that is alone.
      noisy: it is drawn pale, with its trend.
      look: which colour it has, and beyond their number which dashes and mark; None: its place among the lines.
    """

    label: str
    curve: Curve
    noisy: bool = False
    look: int | None = None


def charts_of(training: Training) -> list[Picture]:
    """A chart for each number that was recorded."""
    sensors, resumed = training.sensors, training.resumed
    scores = [Line(f"all of {split}", curve) for split, curve in training.scores.items()]
    measure = training.measure
    wanted = (
        ("loss", "Loss", "loss", [Line("", training.loss, noisy=True)]),
        (measure, title_of(measure), measure, [*scores, Line("some of test", training.sampled, noisy=True)]),
        ("learning_rate", "Learning rate", "learning rate", [Line("", training.learning_rate)]),
        ("step_time", "Time of a step", "ms", [Line("", scaled(training.step_seconds, 1000), noisy=True)]),
        ("memory", "Memory of the runner", "MiB", [Line("", scaled(sensors.rss_bytes, 1 / _MIB))]),
        (
            "temperature",
            "Temperature",
            "°C",
            [Line("battery", sensors.battery_celsius), Line("hottest sensor", sensors.hottest_celsius)],
        ),
        ("battery", "Battery level", "%", [Line("", sensors.battery_percent)]),
    )
    return [
        Picture(name, title, draw(unit, lines, resumed))
        for name, title, unit, lines in wanted
        if any(line.curve for line in lines)
    ]


def title_of(measure: str) -> str:
    """A measure as a heading."""
    return {"accuracy": "Accuracy", "f1": "F1", "r2": "R²"}.get(measure, measure)


def scaled(curve: Curve, factor: float) -> Curve:
    """The curve in another unit."""
    return Curve(curve.steps, tuple(value * factor for value in curve.values))


def draw(unit: str, lines: Sequence[Line], resumed: Sequence[int] = (), along: str = "step") -> bytes:
    """A PNG of the lines that have points, over steps.

    Args:
      unit: what the vertical axis is called.
      lines: what is drawn.
      resumed: steps after which the training went on.
      along: what a step is called.
    """
    drawn = [(number, line) for number, line in enumerate(lines) if line.curve]
    with style():
        picture = figure()
        axes = picture.add_subplot()
        for number, line in drawn:
            _draw_line(axes, line, number if line.look is None else line.look)
        for number, step in enumerate(resumed):
            label = "_" if number or unit != "loss" else "went on here"
            axes.axvline(_finite([step])[0], color=GREY, linestyle=":", linewidth=1, label=label)
        axes.set_xlabel(along)
        axes.set_ylabel(unit)
        _set_steps(axes, [line for _, line in drawn])
        _set_scale(axes, unit, [line for _, line in drawn])
        if axes.get_legend_handles_labels()[1]:
            axes.legend(ncols=1 + len(drawn) // 8)
        return png_of(picture)


def _draw_line(axes: Axes, line: Line, look: int) -> None:
    colour, kind = COLOURS[look % len(COLOURS)], look // len(COLOURS) % len(LINES)
    steps, values = _finite(line.curve.steps), _finite(line.curve.values)
    few = len(steps) <= _FEW
    whole_steps, whole = _thinned(steps, values)
    if line.noisy and not few:
        axes.plot(whole_steps, whole, color=colour, alpha=0.3, linewidth=0.8)
        whole_steps, whole = _trend(steps, values)
    axes.plot(
        whole_steps,
        whole,
        color=colour,
        linestyle=LINES[kind],
        linewidth=1.8,
        marker=MARKS[kind] if few else None,
        markersize=3.5,
        # Without a label it is not in the legend; a long one would leave no room for the lines.
        label=short(line.label, _LONGEST_LABEL) or "_",
    )


def _set_steps(axes: Axes, lines: Sequence[Line]) -> None:
    """Steps are whole numbers, also where there is but one."""
    steps = _finite([step for line in lines for step in (line.curve.steps[0], line.curve.steps[-1])])
    if steps.min() == steps.max():
        axes.set_xlim(steps.min() - 1, steps.min() + 1)
        axes.set_xticks([steps.min()])
    else:
        axes.locator_params(axis="x", integer=True)


def _set_scale(axes: Axes, unit: str, lines: Sequence[Line]) -> None:
    values = np.concatenate([_finite(line.curve.values) for line in lines])
    if unit in ("accuracy", "f1"):
        axes.set_ylim(-0.02, 1.02)
    elif unit == "r2":
        # Below 0 it is worse than the mean, however much.
        axes.set_ylim(max(-1.02, min(-0.02, float(values.min()))), 1.02)
    elif unit == "%":
        axes.set_ylim(-2, 102)
    elif unit in ("learning rate", "MiB") and values.min() >= 0:
        axes.set_ylim(0, 1.1 * float(values.max()) or 1)
    elif unit == "loss" and values.min() > 0 and values.max() > 1000 * np.median(values):
        axes.set_yscale("log")
        # Its own labels are formulas, which names are not to be taken for.
        axes.yaxis.set_major_formatter("{x:g}")
    elif unit == "ms" and len(values) > 1:
        # One step in which the machine did something else would press all others into a line.
        axes.set_ylim(0, max(1.5 * float(np.percentile(values, 98)), 1e-3))


def _thinned(steps: Values, values: Values) -> tuple[Values, Values]:
    """So many points as can be seen, the extremes of what lies between them among them."""
    if len(steps) <= 2 * _MOST_POINTS:
        return steps, values
    parts = np.array_split(np.arange(len(steps)), _MOST_POINTS)
    chosen = np.array([sorted((part[values[part].argmin()], part[values[part].argmax()])) for part in parts]).ravel()
    return steps[chosen], values[chosen]


def _trend(steps: Values, values: Values) -> tuple[Values, Values]:
    """The median of each part, at its middle."""
    parts = min(_MOST_PARTS, len(steps) // _SHORTEST_PART)
    split = list(zip(np.array_split(steps, parts), np.array_split(values, parts), strict=True))
    return np.array([np.median(part) for part, _ in split]), np.array([np.median(part) for _, part in split])


def _finite(numbers: Sequence[float]) -> Values:
    values: Values = np.clip(np.array(numbers, np.float64), -_LARGEST, _LARGEST)
    return values
