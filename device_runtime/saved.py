"""The checkpoints of a training: which are on disk, and which of them go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.checkpoint import Checkpoint, trained_name, write_checkpoint
from device_runtime.formats.metrics import Record
from device_runtime.formats.model import Model
from device_runtime.formats.standing import Standing
from device_runtime.metrics import Metrics


class Saved:
    """Writes checkpoints into `output` and records them.

    An automatic one goes when the next one is there. Of the others all stay, or the newest `keep` and the best one.
    """

    def __init__(
        self,
        output: Path,
        model: Model,
        keep: int | None,
        standing: Standing,
        metrics: Metrics,
        records: Sequence[Record] = (),
    ) -> None:
        """`standing` says which is best, `records` are those of the training that goes on here."""
        self._output = output
        self._model = model
        self._keep = keep
        self._standing = standing
        self._metrics = metrics
        found = {r["step"]: bool(r.get("automatic")) for r in records if r["event"] == "checkpoint"}
        # Steps, oldest first; whether the next checkpoint takes its place.
        self._steps = {step: automatic for step, automatic in found.items() if self._path(step).is_file()}

    @property
    def last(self) -> Path | None:
        """The newest."""
        return self._path(max(self._steps)) if self._steps else None

    @property
    def best(self) -> Path | None:
        """The best of those that stay and were evaluated."""
        step = self._best()
        return None if step is None else self._path(step)

    def add(self, checkpoint: Checkpoint, *, automatic: bool) -> None:
        """Writes a checkpoint, unless it is there, and removes those that do not stay.

        Raises:
          FormatError: the disk is full or the folder cannot be written to.
        """
        step = checkpoint.step
        if self._steps.get(step, True):
            # First what leads to it: a checkpoint without its records could not be gone on from.
            self._metrics.sync()
            if step not in self._steps:
                write_checkpoint(self._path(step), checkpoint, self._model)
            self._metrics.record("checkpoint", step=step, file=self._path(step).name, automatic=automatic)
            self._metrics.sync()
            self._steps[step] = automatic
            self._remove()

    def forget(self, step: int) -> None:
        """Has the checkpoint of a step written anew when it is saved."""
        self._steps.pop(step, None)

    def discard(self, step: int) -> None:
        """Removes the checkpoint of a step that turned out to be worth nothing, if there is one."""
        if self._steps.pop(step, None) is not None:
            self._path(step).unlink(missing_ok=True)

    def _remove(self) -> None:
        newest_first = sorted(self._steps, reverse=True)
        chosen = [step for step in newest_first if not self._steps[step]]
        stay = {newest_first[0], *chosen[: self._keep]}
        if (best := self._best()) is not None:
            stay.add(best)
        for step in set(self._steps) - stay:
            self._path(step).unlink(missing_ok=True)
            del self._steps[step]

    def _best(self) -> int | None:
        return self._standing.best_of(step for step, automatic in self._steps.items() if not automatic)

    def _path(self, step: int) -> Path:
        return self._output / trained_name(self._model, step)
