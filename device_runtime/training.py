"""The training loop: steps, reports, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_runtime.batches import Batches
from device_runtime.conditions import Watch
from device_runtime.console import cycle_line, epoch_line, evaluation_line, say
from device_runtime.engines.base import Batch, Engine
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
      sink_size: updates of one call of the engine, as far as nothing is reported or saved between them.
      by_epochs: print a line per epoch.
    """

    first: int
    last: int
    batch_size: int
    accumulate: int
    sink_size: int
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
        watch: Watch,
    ) -> None:
        self._engine = engine
        self._model = model
        self._train = train
        self._test = test
        self._plan = plan
        self._output = output
        self._metrics = metrics
        self._watch = watch
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
        step, reached = plan.first - 1, False
        while step < plan.last and not reached:
            self._watch.after(step, self.save)
            for loss in self._updates(step + 1):
                step += 1
                reached = self._after_step(step, loss)
            if plan.save_every and step % plan.save_every == 0:
                self.save(step)
        self._watch.end()
        return step

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

    def _updates(self, first: int) -> list[float]:
        """Makes the updates from `first` to the next at which something is due; returns their losses."""
        steps = range(first, self._next_pause(first) + 1)
        rates = [self._rate(step) for step in steps]
        started = time.perf_counter()
        batches = [batch for step in steps for batch in self._batches_of(step)]
        if len(steps) > 1:
            losses = self._engine.train_steps(batches, rates, first)
        elif len(batches) > 1:
            losses = [self._engine.train_batches(batches, rates[0], first)]
        else:
            losses = [self._engine.train_step(*batches[0], rates[0], first)]
        seconds = round((time.perf_counter() - started) / len(steps), 6)
        for step, rate, loss in zip(steps, rates, losses, strict=True):
            if not math.isfinite(loss):
                raise FormatError(f"step {step}: the loss is {loss}: training diverged; give a smaller --learning-rate")
            self._metrics.record("step", step=step, loss=loss, learning_rate=rate, seconds=seconds)
        return losses

    def _batches_of(self, step: int) -> list[Batch]:
        images = self._train(self._batches.epoch(step))
        return [images.batch(part) for part in np.split(self._batches.indices(step), self._plan.accumulate)]

    def _next_pause(self, step: int) -> int:
        """The step, from `step` on, after which the state of the training is asked for, or the call is full."""
        plan = self._plan
        pauses = [plan.save_every, plan.evaluate_every]
        # A report of every step says its loss alone.
        pauses += [plan.report_every] if plan.report_every > 1 else []
        pauses += [self._batches.steps_per_epoch] if plan.by_epochs else []
        due = (-(-step // every) * every for every in pauses if every)
        return min(step + plan.sink_size - 1, plan.last, *due)

    def _rate(self, step: int) -> float:
        plan = self._plan
        return learning_rate_at(
            step, base=plan.learning_rate, schedule=plan.schedule, cycles=plan.last, warmup=plan.warmup
        )

    def _after_step(self, step: int, loss: float) -> bool:
        """Reports and evaluates where the plan says so; returns whether the target accuracy is reached."""
        plan = self._plan
        self._least_loss = min(self._least_loss, loss)
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
        evaluation.record(self._metrics, step, "test")
        return evaluation.accuracy

    def _is_target(self, accuracy: float) -> bool:
        return self._plan.target_accuracy is not None and accuracy >= self._plan.target_accuracy
