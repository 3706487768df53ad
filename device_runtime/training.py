"""The training loop: steps, reports, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import numpy as np

from device_runtime.batches import Batches
from device_runtime.conditions import Watch
from device_runtime.console import cycle_line, epoch_line, evaluation_line, say
from device_runtime.engines.base import Batch, Engine
from device_runtime.evaluation import Evaluation, evaluate
from device_runtime.formats.checkpoint import Checkpoint, Run
from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import Record
from device_runtime.formats.model import Model
from device_runtime.formats.standing import Standing
from device_runtime.inputs import Inputs
from device_runtime.live import Live
from device_runtime.metrics import Field, Metrics
from device_runtime.plan import Plan
from device_runtime.resume import progress_of
from device_runtime.saved import Saved
from device_runtime.schedules import learning_rate_at

# Where nothing else is asked for, so much of a training is lost at most when it is killed.
AUTOMATIC_S = 10.0

# As in MindSpore Lite's net_runner: the accuracy in a report is that of ten batches.
REPORT_BATCHES = 10


class Trainer:
    """Trains an engine by a plan; every result is in `metrics` and `output` as soon as it is known."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        inputs: Inputs,
        plan: Plan,
        run: Run,
        saved: Saved,
        standing: Standing,
        metrics: Metrics,
        history: Sequence[Record],
        watch: Watch,
        live: Live,
    ) -> None:
        """`history` is what was recorded of the training that goes on here."""
        self._engine = engine
        self._model = model
        self._train = inputs.train
        self._splits = inputs.splits
        self._plan = plan
        self._run = run
        self._saved = saved
        self._standing = standing
        self._metrics = metrics
        self._watch = watch
        self._live = live
        self._batches = Batches(len(inputs.train(0)), plan.batch_size * plan.accumulate, plan.seed)
        self._progress = progress_of(history, plan.first - 1, self._batches.steps_per_epoch)
        self._saved_at = self._epoch_started = time.perf_counter()

    def run(self) -> int:
        """Trains to the plan's end, its target accuracy or the end of its patience; returns the last update's number.

        Raises:
          FormatError: the loss is no finite number.
        """
        plan = self._plan
        self._saved_at = self._epoch_started = time.perf_counter()
        step = plan.first - 1
        over = self._why_over(self._progress.reached)
        if over:
            say(f"step {step} had reached {over} already: nothing is trained")
        self._live.begin(self._progress.accuracy)
        while step < plan.last and not over:
            self._watch.after(step, partial(self.save, automatic=True))
            for loss in self._updates(step + 1):
                step += 1
                over = self._after_step(step, loss)
            if plan.save_every and step % plan.save_every == 0:
                self.save(step)
            elif plan.save_every is None and time.perf_counter() - self._saved_at > AUTOMATIC_S:
                self.save(step, automatic=True)
        self.save(step)
        self._watch.end(step)
        return step

    def save(self, step: int, *, automatic: bool = False) -> None:
        """Writes the checkpoint of the state after update `step`, unless that was done.

        Args:
          step: number of the last update.
          automatic: the next checkpoint takes its place.

        Raises:
          FormatError: a number of the state is not finite, or the disk is full.
        """
        self._saved.add(self._state(step), automatic=automatic)
        self._saved_at = time.perf_counter()

    def check(self, evaluation: Evaluation, step: int, split: str) -> None:
        """Refuses what was trained where its loss on a split, which has to be evaluated after it, is no finite number.

        Raises:
          FormatError: it is none; there is no checkpoint of that step then.
        """
        if not math.isfinite(evaluation.loss):
            self._saved.discard(step)
            self._diverge(step, f"the loss on the {split} images is {evaluation.loss}")

    def _state(self, step: int) -> Checkpoint:
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
        took = time.perf_counter() - started
        seconds = round(took / len(steps), 6)
        for step, rate, loss in zip(steps, rates, losses, strict=True):
            if not math.isfinite(loss):
                self._diverge(step, f"the loss is {loss}")
            self._metrics.record("step", step=step, loss=loss, learning_rate=rate, seconds=seconds)
        self._live.after(steps[-1], loss, self._progress.accuracy, len(batches) * self._plan.batch_size, took)
        return losses

    def _batches_of(self, step: int) -> list[Batch]:
        images = self._train(self._batches.epoch(step))
        return [images.batch(part) for part in np.split(self._batches.indices(step), self._plan.accumulate)]

    def _next_pause(self, step: int) -> int:
        """The step, from `step` on, after which the state of the training is asked for, or the call is full."""
        plan = self._plan
        # Calls end at multiples of their size, so that they are the same ones in a training that goes on in between.
        pauses = [plan.sink_size, plan.save_every or 0, plan.evaluate_every]
        # A report of every step says its loss alone.
        pauses += [plan.report_every] if plan.report_every > 1 else []
        pauses += [self._batches.steps_per_epoch] if plan.by_epochs else []
        due = (-(-step // every) * every for every in pauses if every)
        return min(plan.last, *due)

    def _rate(self, step: int) -> float:
        plan = self._plan
        return learning_rate_at(
            step - plan.schedule_first + 1,
            base=plan.learning_rate,
            schedule=plan.schedule,
            cycles=plan.schedule_last - plan.schedule_first + 1,
            warmup=plan.warmup,
        )

    def _after_step(self, step: int, loss: float) -> str:
        """Reports and evaluates where the plan says so; returns why the training is over, empty where it is not."""
        plan, progress = self._plan, self._progress
        progress.least_loss = min(progress.least_loss, loss)
        if plan.report_every and step % plan.report_every == 0:
            self._state(step)
            accuracy = None if plan.report_every == 1 else self._sampled_accuracy(step)
            say(cycle_line(step, loss, progress.least_loss, accuracy))
        if plan.by_epochs:
            progress.epoch_losses.append(loss)
        if plan.by_epochs and step % self._batches.steps_per_epoch == 0:
            accuracy = self._finish_epoch(step)
        elif plan.evaluate_every and step % plan.evaluate_every == 0:
            accuracy = self._evaluate_and_say(step, self._standing.split)
        else:
            return ""
        if plan.target_accuracy and self._standing.split != "test":
            accuracy = self._evaluate_and_say(step, "test")
        if plan.evaluate_every or (plan.best and self._standing.best == step):
            self.save(step)
        over = self._why_over(accuracy)
        if over:
            say(f"stopped after step {step}: {over}")
            self._metrics.record("stop", step=step, reason=over)
        return over

    def _sampled_accuracy(self, step: int) -> float:
        size, test = self._plan.batch_size, self._splits["test"]
        evaluation = evaluate(self._engine, test, size, self._model.loss, REPORT_BATCHES * size)
        self._progress.found("test", evaluation.accuracy)
        best = self._progress.best_accuracies["test"]
        self._metrics.record("report", step=step, accuracy=evaluation.accuracy, max_accuracy=best)
        return best

    def _finish_epoch(self, step: int) -> float:
        losses = self._progress.epoch_losses
        loss = sum(losses) / len(losses)
        seconds = time.perf_counter() - self._epoch_started
        split = self._standing.split
        accuracy = self._evaluate(step, split)
        epoch = step // self._batches.steps_per_epoch
        say(epoch_line(epoch, loss, split, accuracy, seconds))
        found: dict[str, Field] = {"loss": loss, "split": split, "accuracy": accuracy, "seconds": round(seconds, 3)}
        self._metrics.record("epoch", epoch=epoch, step=step, **found)
        losses.clear()
        self._epoch_started = time.perf_counter()
        return accuracy

    def _evaluate_and_say(self, step: int, split: str) -> float:
        accuracy = self._evaluate(step, split)
        say(evaluation_line(split, accuracy, self._progress.best_accuracies[split]))
        return accuracy

    def _evaluate(self, step: int, split: str) -> float:
        evaluation = evaluate(self._engine, self._splits[split], self._plan.batch_size, self._model.loss)
        self.check(evaluation, step, split)
        evaluation.record(self._metrics, step, split)
        if split == self._standing.split:
            self._standing.note(step, evaluation.accuracy)
        self._progress.found(split, evaluation.accuracy)
        return evaluation.accuracy

    def _why_over(self, accuracy: float | None) -> str:
        """Why the training is over after an evaluation with this accuracy on the test images; empty where it is not."""
        plan = self._plan
        if plan.target_accuracy is not None and accuracy is not None and accuracy >= plan.target_accuracy:
            return f"--target-accuracy {plan.target_accuracy:g}"
        return f"--patience {plan.patience}" if 0 < plan.patience <= self._standing.since_best else ""

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
