"""The lines that a user reads, in the words of MindSpore Lite's net_runner."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Prints a line at once, so that it streams through adb."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cycle_line(step: int, loss: float, least_loss: float, best_accuracy: float | None) -> str:
    """`100:<tab>Loss is 0.853509 [min=0.581739]  max_acc=0.674079`; without an accuracy, the line ends before it."""
    if best_accuracy is None:
        return f"{step}: Loss is {loss:.6g} [min={least_loss:.6g}]"
    return f"{step}:\tLoss is {loss:.6g} [min={least_loss:.6g}]  max_acc={best_accuracy:.6g}"


def epoch_line(epoch: int, loss: float, split: str, accuracy: float, seconds: float) -> str:
    """One line at the end of an epoch: mean loss, accuracy on a split and the time it took."""
    return f"epoch {epoch}: Loss is {loss:.6g}  {accuracy_on(split, accuracy)}  time = {seconds:.2f} s"


def evaluation_line(split: str, accuracy: float, best: float) -> str:
    """An evaluation while training."""
    return f"accuracy on {split} data = {accuracy:.6g} max accuracy = {best:.6g}"


def accuracy_on(split: str, accuracy: float) -> str:
    """`accuracy = 0.970553` on the test split; `accuracy on validation data = 0.970553` on the other."""
    return f"accuracy on validation data = {accuracy:.6g}" if split == "validation" else f"accuracy = {accuracy:.6g}"
