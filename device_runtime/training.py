"""The built-in training loop: updates, reports, evaluations, and when it stops before its last step."""

from __future__ import annotations

import time

from device_runtime.console import cycle_line, epoch_line, evaluation_line, say
from device_runtime.evaluation import Evaluation
from device_runtime.loop import TrainingRun
from device_runtime.resume import Progress

# As in MindSpore Lite's net_runner: the accuracy in a report is that of ten batches.
REPORT_BATCHES = 10


class Trainer:
    """Trains as the options say."""

    def __init__(self, progress: Progress) -> None:
        """`progress` is what was recorded of the training that goes on here."""
        self._progress = progress
        self._epoch_started = time.perf_counter()

    def __call__(self, run: TrainingRun) -> None:
        """Trains to the last step, the target accuracy or the end of its patience.

        Raises:
          FormatError: the loss is no finite number.
        """
        self._epoch_started = time.perf_counter()
        over = self._why_over(run)
        if over:
            say(f"step {run.step} had reached {over} already: nothing is trained")
        while not over and run.goes_on():
            first = run.step + 1
            losses = run.train(*(run.batch(step) for step in range(first, self._next_pause(run) + 1)))
            for step, loss in enumerate(losses, first):
                self._after_step(run, step, loss)
            over = self._after_pause(run)

    def _next_pause(self, run: TrainingRun) -> int:
        """The next step after which the state of the training is asked for, or the call is full."""
        plan, step = run.options, run.step + 1
        # Calls end at multiples of their size, so that they are the same ones in a training that goes on in between.
        pauses = [plan.sink_size, plan.save_every or 0, plan.evaluate_every]
        # A report of every step says its loss alone.
        pauses += [plan.report_every] if plan.report_every > 1 else []
        pauses += [plan.steps_per_epoch] if plan.by_epochs else []
        due = (-(-step // every) * every for every in pauses if every)
        return min(plan.last, *due)

    def _after_step(self, run: TrainingRun, step: int, loss: float) -> None:
        """Takes a loss, and reports where the plan says so."""
        plan, progress = run.options, self._progress
        progress.least_loss = min(progress.least_loss, loss)
        if plan.report_every and step % plan.report_every == 0:
            best = () if plan.report_every == 1 else self._sampled_best(run)
            say(cycle_line(step, loss, progress.least_loss, *best))
        if plan.by_epochs:
            progress.epoch_losses.append(loss)

    def _after_pause(self, run: TrainingRun) -> str:
        """Evaluates where the plan says so; returns why the training is over, empty where it is not."""
        plan = run.options
        epoch_ends = plan.by_epochs and run.step % plan.steps_per_epoch == 0
        if not epoch_ends and not (plan.evaluate_every and run.step % plan.evaluate_every == 0):
            return ""
        seconds = time.perf_counter() - self._epoch_started
        found = self._evaluated(run)
        if found.split != "test" and plan.target_accuracy:
            self._say_evaluated(self._evaluated(run, "test"))
        if epoch_ends:
            self._finish_epoch(run, found, seconds)
        else:
            self._say_evaluated(found)
        if plan.evaluate_every or (plan.best and found.since_best == 0):
            run.save()
        over = self._why_over(run)
        if over:
            say(f"stopped after step {run.step}: {over}")
            run.record("stop", reason=over)
        return over

    def _sampled_best(self, run: TrainingRun) -> tuple[float, str]:
        """The best score on some test images so far, and what it is."""
        found = run.evaluate("test", REPORT_BATCHES * run.options.batch_size)
        best = self._progress.found("test", found.score)
        own = {found.measure: found.score, f"max_{found.measure}": best}
        run.record("report", measure=found.measure, **own)
        return best, found.measure

    def _evaluated(self, run: TrainingRun, split: str | None = None) -> Evaluation:
        found = run.evaluate(split)
        self._progress.found(found.split, found.score)
        if found.split == "test":
            self._progress.reached = found.score
        if split is None:
            self._progress.since_best = found.since_best
        return found

    def _say_evaluated(self, found: Evaluation) -> None:
        say(evaluation_line(found.split, found.score, self._progress.best_scores[found.split], found.measure))

    def _finish_epoch(self, run: TrainingRun, found: Evaluation, seconds: float) -> None:
        losses = self._progress.epoch_losses
        loss, epoch = sum(losses) / len(losses), run.step // run.options.steps_per_epoch
        say(epoch_line(epoch, loss, found.split, found.score, seconds, found.measure))
        run.record(
            "epoch",
            epoch=epoch,
            loss=loss,
            split=found.split,
            **{found.measure: found.score},
            seconds=round(seconds, 3),
        )
        losses.clear()
        self._epoch_started = time.perf_counter()

    def _why_over(self, run: TrainingRun) -> str:
        """Why the training is over after what was evaluated last; empty where it is not."""
        plan, progress = run.options, self._progress
        if plan.target_accuracy and progress.reached is not None and progress.reached >= plan.target_accuracy:
            return f"--target-accuracy {plan.target_accuracy:g}"
        return f"--patience {plan.patience}" if 0 < plan.patience <= progress.since_best else ""
