"""What a report of a fleet draws: curves over rounds, what a round costs, and who has which images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.fleet.history import Cost, History, Member
from pipeline.results.pages.charts import Line, draw
from pipeline.results.pages.drawing import COLOURS, figure, png_of, style
from pipeline.results.pages.names import names_of, short
from pipeline.results.pages.picture import Picture
from pipeline.results.records.training import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROUND = "round"
_MIB = 2**20

# Black and dashed.
_APART = len(COLOURS) + COLOURS.index("#000000")

# More lines cannot be told apart: a row of colours each, then.
_MOST_LINES = len(COLOURS)
# Bars with gaps between.
_FEW = 40
# Of columns and rows so many take a number or a name; more columns than pixels would vanish.
_MOST_NUMBERED, _MOST_NAMED, _MOST_COLUMNS = 12, 24, 300
_LONGEST_DEVICE, _LONGEST_CLASS = 18, 12
# Inches of a row, and of what is above and below all.
_ROW, _AROUND = 0.17, 1.3

Table = npt.NDArray[np.float64]


def global_charts(history: History) -> list[Picture]:
    """Loss and accuracy of the global model; the accuracy of a training in one place as a line."""
    central = history.centralised
    losses = [Line("devices' training", history.loss), Line("all test samples", history.test_loss)]
    accuracies = [Line("all test samples" if history.accuracy else "devices' test samples", history.told_accuracy)]
    reached = [point for line in (*losses, *accuracies) for point in line.curve.steps]
    if central and reached:
        ends = (min(reached), max(reached))
        losses.append(Line("centralised", Curve(ends, (central["loss"],) * 2), look=_APART))
        accuracies.append(Line("centralised", Curve(ends, (central["accuracy"],) * 2), look=_APART))
    wanted = (("loss", "Loss", losses), ("accuracy", "Accuracy of the global model", accuracies))
    return [
        Picture(name, title, draw(name, lines, history.resumed, _ROUND))
        for name, title, lines in wanted
        if any(line.curve for line in lines)
    ]


def device_charts(history: History) -> list[Picture]:
    """Of each device's own test images: the accuracy of the global model, and of its own when it had trained."""
    wanted = (
        ("given", "The global model on each device's test samples", [member.given for member in history.members]),
        ("trained", "The same when the device had trained", [member.trained for member in history.members]),
    )
    devices = [member.device for member in history.members]
    return [
        Picture(name, title, _curves(devices, curves, history.resumed)) for name, title, curves in wanted if any(curves)
    ]


def cost_charts(costs: Mapping[int, Cost]) -> list[Picture]:
    """What a round took: seconds, and bytes of all devices."""
    if not costs:
        return []
    each = list(costs.values())
    seconds = {
        "training": [cost.train for cost in each],
        "push": [cost.push for cost in each],
        "pull": [cost.pull for cost in each],
        "all else": [cost.own for cost in each],
    }
    sizes = {
        "pushed": [cost.pushed_bytes / _MIB for cost in each],
        "pulled": [cost.pulled_bytes / _MIB for cost in each],
    }
    return [
        Picture("time", "Time of a round", _bars("s", list(costs), seconds)),
        Picture("bytes", "Sent to and from all devices", _bars("MiB", list(costs), sizes)),
    ]


def partition_chart(members: Sequence[Member], classes: Sequence[str]) -> Picture | None:
    """The training images of each device by class, as many as are known of."""
    known = [member for member in members if member.train]
    count = max((len(member.train) for member in known), default=0)
    if not count:
        return None
    table = np.zeros((len(known), count))
    for row, member in zip(table, known, strict=True):
        row[: len(member.train)] = member.train
    with style():
        drawn = figure(_height(len(known)), 5.6)
        axes = drawn.add_subplot()
        side = -(-count // _MOST_COLUMNS)
        blocks = np.maximum.reduceat(table, np.arange(0, count, side), axis=1)
        edges = (-0.5, count - 0.5, len(known) - 0.5, -0.5)
        image = axes.imshow(blocks, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest", extent=edges)
        drawn.colorbar(image, ax=axes, label="training samples")
        _name_rows(axes, [member.device for member in known])
        axes.set_xlabel("class")
        if count <= _MOST_NAMED:
            _name_columns(axes, names_of(classes, count))
        else:
            axes.locator_params(axis="x", integer=True)
        if count <= _MOST_NUMBERED:
            _write_numbers(axes, table)
        return Picture("partition", "Training samples of each device by class", png_of(drawn))


def _curves(devices: Sequence[str], curves: Sequence[Curve], resumed: Sequence[int]) -> bytes:
    """A line for each device; of many a row for each, coloured by accuracy and empty where the device was missing."""
    if len(devices) <= _MOST_LINES:
        lines = [Line(device, curve) for device, curve in zip(devices, curves, strict=True)]
        return draw("accuracy", lines, resumed, _ROUND)
    first = min(curve.steps[0] for curve in curves if curve)
    last = max(curve.steps[-1] for curve in curves if curve)
    table = np.full((len(devices), last - first + 1), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[np.array(curve.steps, np.int64) - first] = curve.values
    with style():
        drawn = figure(_height(len(devices)))
        axes = drawn.add_subplot()
        edges = (first - 0.5, last + 0.5, len(devices) - 0.5, -0.5)
        image = axes.imshow(table, cmap="viridis", aspect="auto", interpolation="nearest", extent=edges)
        drawn.colorbar(image, ax=axes, label="accuracy")
        _name_rows(axes, devices)
        axes.set_xlabel(_ROUND)
        axes.locator_params(axis="x", integer=True)
        return png_of(drawn)


def _bars(unit: str, numbers: Sequence[int], parts: Mapping[str, Sequence[float]]) -> bytes:
    """A bar for each round, of parts that stand on one another."""
    with style():
        drawn = figure()
        axes = drawn.add_subplot()
        # Gaps between bars as narrow as a pixel would be a pattern of their own.
        width = 0.8 if len(numbers) <= _FEW else 1.0
        below = np.zeros(len(numbers))
        for colour, (label, values) in zip(COLOURS, parts.items(), strict=False):
            axes.bar(numbers, values, width, bottom=below, color=colour, linewidth=0, label=label)
            below += values
        axes.set_xlabel(_ROUND)
        axes.set_ylabel(unit)
        axes.set_xlim(numbers[0] - 1, numbers[-1] + 1)
        axes.set_ylim(0, 1.15 * float(below.max()) or 1)
        axes.locator_params(axis="x", integer=True)
        axes.legend(ncols=len(parts), loc="upper center")
        return png_of(drawn)


def _height(rows: int) -> float:
    return _AROUND + max(_ROW * rows, 1.2)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.grid(visible=False)
    axes.set_yticks(range(len(names)), [short(name, _LONGEST_DEVICE) for name in names], fontsize=8)


def _name_columns(axes: Axes, names: Sequence[str]) -> None:
    shown = [short(name, _LONGEST_CLASS) for name in names]
    axes.set_xticks(range(len(names)), shown, fontsize=8, rotation=0 if max(map(len, shown)) <= 2 else 90)


def _write_numbers(axes: Axes, table: Table) -> None:
    """Zeros stay empty."""
    for row, column in np.argwhere(table).tolist():
        colour = "white" if table[row, column] > table.max() / 2 else "black"
        text = f"{table[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
