"""Which evaluation of a training was the best so far, and how many came since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from device_runtime.formats.metrics import Record, score_in


class Standing:
    """The scores on all images of a split while it is trained; the best is the first of the highest.

    Attributes:
      split: the split.
    """

    def __init__(self, split: str, records: Sequence[Record] = (), began: int = 0) -> None:
        """Takes what was recorded of the training that goes on here.

        Args:
          split: whose evaluations count.
          records: those until now, also of a training before it in the same folder.
          began: number of the last update before this training.
        """
        self.split = split
        self._began = began
        self._scores = {
            record["step"]: score_in(record)
            for record in records
            if record["event"] == "evaluation" and record["split"] == split
        }

    def note(self, step: int, score: float) -> None:
        """Notes the evaluation after update `step`."""
        self._scores[step] = score

    def best_of(self, steps: Iterable[int]) -> int | None:
        """Of these steps the one that was evaluated best; None where none was evaluated."""
        evaluated = [step for step in steps if step in self._scores]
        return min(evaluated, key=lambda step: (-self._scores[step], step), default=None)

    @property
    def best(self) -> int | None:
        """The step of the best evaluation of all."""
        return self.best_of(self._scores)

    @property
    def since_best(self) -> int:
        """How many evaluations of this training came after the best one, none of them better."""
        last = max(self._began, self.best or 0)
        return sum(step > last for step in self._scores)
