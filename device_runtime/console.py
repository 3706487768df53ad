"""The lines that a user reads, in the words of MindSpore Lite's net_runner."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

# As net_runner writes them.
_SHORT = {"accuracy": "acc"}

# Classes in one line; of more, so many.
_MOST_NAMED, _LOWEST = 12, 5
_LONGEST_NAME = 40


def say(line: str) -> None:
    """Prints a line at once, so that it streams through adb."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cycle_line(step: int, loss: float, least_loss: float, best: float | None = None, measure: str = "") -> str:
    """`100:<tab>Loss is 0.853509 [min=0.581739]  max_acc=0.674079`; without a score, the line ends before it."""
    if best is None:
        return f"{step}: Loss is {loss:.6g} [min={least_loss:.6g}]"
    return f"{step}:\tLoss is {loss:.6g} [min={least_loss:.6g}]  max_{_SHORT.get(measure, measure)}={best:.6g}"


def epoch_line(epoch: int, loss: float, split: str, score: float, seconds: float, measure: str) -> str:
    """One line at the end of an epoch: mean loss, the score on a split and the time it took."""
    return f"epoch {epoch}: Loss is {loss:.6g}  {score_on(split, score, measure)}  time = {seconds:.2f} s"


def evaluation_line(split: str, score: float, best: float, measure: str) -> str:
    """An evaluation while training."""
    return f"{measure} on {split} data = {score:.6g} max {measure} = {best:.6g}"


def each_line(names: Sequence[str], each: Sequence[Mapping[str, float]]) -> str:
    """`f1 of each: cat 0.98, dog 0.914`; of many the lowest alone. Where there is none of a class, it has none."""
    there = [(name, measures) for name, measures in zip(names, each, strict=False) if measures["count"]]
    measure = next(iter(each[0]))
    which = "each"
    if len(there) > _MOST_NAMED:
        there = sorted(there, key=lambda found: found[1][measure])[:_LOWEST]
        which = f"the lowest of {len(each)}"
    return f"{measure} of {which}: " + ", ".join(f"{_plain(name)} {measures[measure]:.3g}" for name, measures in there)


def _plain(name: str) -> str:
    """A name of any characters in a line."""
    return "".join(char if char.isprintable() else "?" for char in name)[:_LONGEST_NAME]


def score_on(split: str, score: float, measure: str) -> str:
    """`accuracy = 0.970553` on the test split; `accuracy on validation data = 0.970553` on the other."""
    return f"{measure} on validation data = {score:.6g}" if split == "validation" else f"{measure} = {score:.6g}"
