"""The training loop: steps, reports, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_runtime.batches import Batches
from device_runtime.console import cycle_line, epoch_line, evaluation_line, say
from device_runtime.engines.base import Engine
from device_runtime.evaluation import Images, ImagesOfEpoch, evaluate
from device_runtime.formats.checkpoint import Checkpoint, trained_name, write_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model
from device_runtime.metrics import Metrics
from device_runtime.schedules import learning_rate_at

# As in MindSpore Lite's net_runner: the accuracy in a report is that of ten batches.
REPORT_BATCHES = 10


@dataclass(frozen=True)
class Plan:
    """How long and how to train; counts are in steps.

    Attributes:
      first, last: numbers of the first and the last update, from 1.
      report_every: 0 for no reports within an epoch.
      save_every, evaluate_every: 0 for never.
      accumulate: batches whose mean gradient makes one update.
      by_epochs: print a line per epoch.
    """

    first: int
    last: int
    batch_size: int
    accumulate: int
    seed: int
    learning_rate: float
    schedule: str
    warmup: int
    report_every: int
    save_every: int
    evaluate_every: int
    target_accuracy: float | None
    by_epochs: bool


class Trainer:
    """Trains an engine by a plan; every result is in `metrics` and `output` as soon as it is known."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        train: ImagesOfEpoch,
        test: Images,
        plan: Plan,
        output: Path,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._model = model
        self._train = train
        self._test = test
        self._plan = plan
        self._output = output
        self._metrics = metrics
        self._batches = Batches(len(train(0)), plan.batch_size * plan.accumulate, plan.seed)
        self._least_loss = float("inf")
        self._best_accuracy = 0.0
        self._saved = -1
        self._epoch_losses: list[float] = []
        self._epoch_started = time.perf_counter()

    def run(self) -> int:
        """Trains to the plan's end or its target accuracy; returns the number of the last update made.

        Raises:
          FormatError: the loss is no finite number.
        """
        plan = self._plan
        self._epoch_started = time.perf_counter()
        for step in range(plan.first, plan.last + 1):
            loss = self._step(step)
            reached = self._after_step(step, loss)
            if plan.save_every and step % plan.save_every == 0:
                self.save(step)
            if reached:
                return step
        return max(plan.last, plan.first - 1)

    def save(self, step: int) -> None:
        """Writes the checkpoint of the state after update `step`, unless that was done."""
        if step == self._saved:
            return
        self._saved = step
        engine = self._engine
        checkpoint = Checkpoint(step, self._plan.seed, engine.parameters(), engine.buffers(), engine.states())
        path = self._output / trained_name(self._model, step)
        write_checkpoint(path, checkpoint, self._model)
        self._metrics.record("checkpoint", step=step, file=path.name)

    def _step(self, step: int) -> float:
        plan = self._plan
        rate = learning_rate_at(
            step, base=plan.learning_rate, schedule=plan.schedule, cycles=plan.last, warmup=plan.warmup
        )
        started = time.perf_counter()
        images = self._train(self._batches.epoch(step))
        parts = np.split(self._batches.indices(step), plan.accumulate)
        if plan.accumulate == 1:
            loss = self._engine.train_step(*images.batch(parts[0]), rate, step)
        else:
            loss = self._engine.train_batches([images.batch(part) for part in parts], rate, step)
        seconds = time.perf_counter() - started
        if not math.isfinite(loss):
            raise FormatError(f"step {step}: the loss is {loss}: training diverged; give a smaller --learning-rate")
        self._metrics.record("step", step=step, loss=loss, learning_rate=rate, seconds=round(seconds, 6))
        self._least_loss = min(self._least_loss, loss)
        return loss

    def _after_step(self, step: int, loss: float) -> bool:
        """Reports and evaluates where the plan says so; returns whether the target accuracy is reached."""
        plan = self._plan
        if plan.report_every and step % plan.report_every == 0:
            accuracy = None if plan.report_every == 1 else self._sampled_accuracy(step)
            say(cycle_line(step, loss, self._least_loss, accuracy))
        if plan.by_epochs:
            self._epoch_losses.append(loss)
        if plan.by_epochs and step % self._batches.steps_per_epoch == 0:
            return self._finish_epoch(step)
        if plan.evaluate_every and step % plan.evaluate_every == 0:
            accuracy = self._evaluate(step)
            self._best_accuracy = max(self._best_accuracy, accuracy)
            say(evaluation_line(accuracy, self._best_accuracy))
            self.save(step)
            return self._is_target(accuracy)
        return False

    def _sampled_accuracy(self, step: int) -> float:
        evaluation = evaluate(self._engine, self._test, self._plan.batch_size, REPORT_BATCHES * self._plan.batch_size)
        self._best_accuracy = max(self._best_accuracy, evaluation.accuracy)
        self._metrics.record("report", step=step, accuracy=evaluation.accuracy, max_accuracy=self._best_accuracy)
        return self._best_accuracy

    def _finish_epoch(self, step: int) -> bool:
        loss = sum(self._epoch_losses) / len(self._epoch_losses)
        seconds = time.perf_counter() - self._epoch_started
        accuracy = self._evaluate(step)
        epoch = step // self._batches.steps_per_epoch
        say(epoch_line(epoch, loss, accuracy, seconds))
        self._metrics.record("epoch", epoch=epoch, step=step, loss=loss, accuracy=accuracy, seconds=round(seconds, 3))
        self._epoch_losses.clear()
        self._epoch_started = time.perf_counter()
        return self._is_target(accuracy)

    def _evaluate(self, step: int) -> float:
        evaluation = evaluate(self._engine, self._test, self._plan.batch_size)
        self._metrics.record(
            "evaluation",
            step=step,
            split="test",
            accuracy=evaluation.accuracy,
            loss=evaluation.loss,
            images=evaluation.images,
            seconds=round(evaluation.seconds, 3),
        )
        return evaluation.accuracy

    def _is_target(self, accuracy: float) -> bool:
        return self._plan.target_accuracy is not None and accuracy >= self._plan.target_accuracy
