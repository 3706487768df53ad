"""What of a training is kept: checkpoints while its numbers are finite; the reason for its end where one is not."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from device_runtime.engines.base import Engine
from device_runtime.evaluation import Evaluation
from device_runtime.formats.checkpoint import Checkpoint, Run
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model
from device_runtime.metrics import Metrics
from device_runtime.plan import Plan
from device_runtime.saved import Saved


class Keeping:
    """Saves what an engine holds, and ends the training where that is worth nothing any more."""

    def __init__(self, engine: Engine, model: Model, plan: Plan, run: Run, saved: Saved, metrics: Metrics) -> None:
        self._engine = engine
        self._model = model
        self._plan = plan
        self._run = run
        self._saved = saved
        self._metrics = metrics

    def save(self, step: int, *, automatic: bool = False) -> None:
        """Writes the checkpoint of the state after update `step`, unless that was done.

        Args:
          step: number of the last update.
          automatic: the next checkpoint takes its place.

        Raises:
          FormatError: a number of the state is not finite, or the disk is full.
        """
        self._saved.add(self.state(step), automatic=automatic)

    def changed(self, step: int) -> None:
        """Has the state after update `step` written again when it is saved: it is another one now."""
        self._saved.forget(step)

    def state(self, step: int) -> Checkpoint:
        """What the engine holds after update `step`.

        Raises:
          FormatError: a number of it is not finite.
        """
        engine = self._engine
        parameters, buffers, states = engine.parameters(), engine.buffers(), engine.states()
        named = {"a weight": parameters, "a running statistic": buffers}
        named |= {f"{name} of the optimizer": vector for name, vector in states.items()}
        for name, vector in named.items():
            if not np.isfinite(vector).all():
                self._diverge(step, f"{name} is no finite number")
        return Checkpoint(step, parameters, buffers, states, self._run)

    def check_loss(self, loss: float, step: int) -> None:
        """Refuses update `step` where its loss is no finite number.

        Raises:
          FormatError: it is none.
        """
        if not math.isfinite(loss):
            self._diverge(step, f"the loss is {loss}")

    def check(self, evaluation: Evaluation, step: int, split: str) -> None:
        """Refuses what was trained where its loss on a split, which has to be evaluated after it, is no finite number.

        Raises:
          FormatError: it is none; there is no checkpoint of that step then.
        """
        if not math.isfinite(evaluation.loss):
            self._saved.discard(step)
            self._diverge(step, f"the loss on the {split} images is {evaluation.loss}")

    def _diverge(self, step: int, what: str) -> NoReturn:
        """Ends the training: what is computed from here on is worth nothing."""
        plan = self._plan
        if self._model.buffers and plan.batch_size == 1:
            advice = "batch normalisation has no variance in a batch of one: give a larger --batch-size"
        else:
            advice = f"give a smaller --learning-rate than {plan.learning_rate:g}, or package with --clip-norm"
        last = self._saved.last
        kept = f"; the last good checkpoint is {last.name}" if last else "; no checkpoint was saved before"
        self._metrics.record("diverged", step=step, what=what, advice=advice, file=last.name if last else None)
        self._metrics.sync()
        raise FormatError(f"step {step}: {what}: training diverged{kept}: {advice}")
