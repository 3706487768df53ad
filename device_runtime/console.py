"""The lines that a user reads, in the words of MindSpore Lite's net_runner."""

from __future__ import annotations

import sys

# As net_runner writes them.
_SHORT = {"accuracy": "acc"}


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


def score_on(split: str, score: float, measure: str) -> str:
    """`accuracy = 0.970553` on the test split; `accuracy on validation data = 0.970553` on the other."""
    return f"{measure} on validation data = {score:.6g}" if split == "validation" else f"{measure} = {score:.6g}"
