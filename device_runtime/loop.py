"""What a training loop is written on: the one of training.py, and a user's own.

A loop is a function that takes a `TrainingRun` and makes its updates: docs/your-loop.md. What it leaves is evaluated,
saved and recorded when it returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from device_runtime.batches import Batches
from device_runtime.conditions import Watch
from device_runtime.console import say
from device_runtime.engines.base import Batch, Engine, Vector
from device_runtime.evaluation import Evaluation, evaluate
from device_runtime.formats.events import OF_THE_RUNNER
from device_runtime.formats.model import Model, Tensor, by_name
from device_runtime.formats.sample import CLASS
from device_runtime.formats.standing import Standing
from device_runtime.inputs import Inputs
from device_runtime.keeping import Keeping
from device_runtime.live import Live
from device_runtime.metrics import Field, Metrics
from device_runtime.plan import Plan

# Where nothing else is asked for, so much of a training is lost at most when it is killed.
AUTOMATIC_S = 10.0


@dataclass(frozen=True)
class State:
    """All that updates change; a copy, which stays as it is.

    Attributes:
      parameters: one flat vector of all that trains, float32.
      buffers: running statistics and the like, flat too.
      optimizer: its states by name, each as long as `parameters`; zeros before the first update.
      tensors: what lies where in a vector of parameters.
    """

    parameters: Vector
    buffers: Vector
    optimizer: Mapping[str, Vector]
    tensors: Sequence[Tensor]

    def named(self, vector: Vector) -> dict[str, Vector]:
        """A vector of parameters, or a gradient, as tensors by name, which are views of it."""
        return by_name(vector, self.tensors)


class TrainingRun:
    """A training on this device, as its loop sees it."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        inputs: Inputs,
        plan: Plan,
        keeping: Keeping,
        standing: Standing,
        metrics: Metrics,
        watch: Watch,
        live: Live,
        score: float | None = None,
    ) -> None:
        """`score` is the last one that is known of a training that goes on here."""
        self._engine = engine
        self._model = model
        self._inputs = inputs
        self._plan = plan
        self._keeping = keeping
        self._standing = standing
        self._metrics = metrics
        self._watch = watch
        self._live = live
        self._score = score
        self._batches = Batches(len(inputs.train(0)), plan.batch_size * plan.accumulate, plan.seed)
        self._step = self._looked_at = plan.first - 1
        self._saved_at = time.perf_counter()
        # What the next update took until now, and the images that it was made with.
        self._seconds, self._images = 0.0, 0

    @property
    def step(self) -> int:
        """How many updates were made: 0, or where `--resume` or `--checkpoint` goes on."""
        return self._step

    @property
    def options(self) -> Plan:
        """What was asked for, and what follows from it."""
        return self._plan

    def goes_on(self) -> bool:
        """Whether there are updates to make; False after the last one that was asked for.

        A loop begins with it wherever `--resume` may go on: here, and nowhere else, a training waits for what
        `--while-charging` and its like ask for, and checkpoints are saved that `--save-every` or nobody asked for.
        """
        plan, step = self._plan, self._step
        if step > self._looked_at:
            if plan.save_every and step // plan.save_every > self._looked_at // plan.save_every:
                self.save()
            elif plan.save_every is None and time.perf_counter() - self._saved_at > AUTOMATIC_S:
                self._save_automatically(step)
        self._looked_at = step
        if step < plan.last:
            self._watch.after(step, self._save_automatically)
        return step < plan.last

    def batch(self, step: int | None = None) -> Batch:
        """What update number `step`, or the next one, trains with: the same whenever it is asked for.

        Returns:
          What the model takes, N samples (of pictures uint8 N×H×W×C) or features of a frozen backbone (float32 N×…),
          and their targets (of one class for each, int64 N). N is the batch size, or with `--accumulate` so many times
          that.
        """
        started = time.perf_counter()
        number = self._step + 1 if step is None else step
        batch = self._inputs.train(self._batches.epoch(number)).batch(self._batches.indices(number))
        self._seconds += time.perf_counter() - started
        return batch

    def train(self, *batches: Batch, rate: float | None = None) -> list[float]:
        """Makes an update with each of the batches, and records it; several are one call of the runtime.

        Args:
          batches: each of the batch size, or a multiple of it, whose mean gradient is taken.
          rate: the learning rate; None for what the options say.

        Returns:
          The loss of each batch before its update.

        Raises:
          ValueError: a batch has another size.
          FormatError: a loss is no finite number.
        """
        first = self._step + 1
        parts = [self._parts(batch) for batch in batches]
        rates = [self._plan.rate_at(number) if rate is None else rate for number in range(first, first + len(parts))]
        started = time.perf_counter()
        if len(parts) > 1 and all(len(part) == 1 for part in parts):
            losses = self._engine.train_steps([part[0] for part in parts], rates, first)
        else:
            numbers = range(first, first + len(parts))
            losses = [self._update_by(*each) for each in zip(parts, rates, numbers, strict=True)]
        self._seconds += time.perf_counter() - started
        self._made(losses, rates)
        return losses

    def gradient(self, batch: Batch) -> tuple[float, Vector]:
        """The loss of a batch and its mean gradient, a flat vector as `state.parameters`; renews the buffers.

        Raises:
          ValueError: the batch is no multiple of the batch size, or a label of it is no class.
        """
        started = time.perf_counter()
        loss, gradient = self._engine.gradient(self._parts(batch), self._step + 1)
        self._seconds += time.perf_counter() - started
        return loss, gradient

    def update(self, gradient: Vector, loss: float, rate: float | None = None) -> None:
        """Makes an update with a gradient, clipped where the model is packaged with that, and records it.

        Args:
          gradient: a flat vector as `state.parameters`.
          loss: what is recorded of it.
          rate: the learning rate; None for what the options say.

        Raises:
          FormatError: the loss is no finite number.
        """
        number = self._step + 1
        rate = self._plan.rate_at(number) if rate is None else rate
        started = time.perf_counter()
        self._engine.update(gradient, rate, number)
        self._seconds += time.perf_counter() - started
        self._made([loss], [rate])

    def evaluate(self, split: str | None = None, at_most: int | None = None) -> Evaluation:
        """Score and loss on a split as the model is now.

        Args:
          split: its name; None: the one whose evaluations choose the best checkpoint.
          at_most: so many images of it alone, spread over it; of that nothing is recorded.

        Raises:
          ValueError: the dataset has no such split.
          FormatError: the loss is no finite number.
        """
        split = self._standing.split if split is None else split
        if not len(self._inputs.splits.get(split, ())):
            raise ValueError(f"the dataset has no split {split!r}: it has {', '.join(self._inputs.splits)}")
        if at_most is not None:
            self._keeping.state(self._step)
        size = self._plan.batch_size
        found = evaluate(self._engine, self._inputs.splits[split], size, self._model, at_most)
        self._score = found.score
        if at_most is not None:
            return replace(found, split=split)
        self._keeping.check(found, self._step, split)
        found.record(self._metrics, self._step, split)
        if split != self._standing.split:
            return replace(found, split=split)
        self._standing.note(self._step, found.score)
        return replace(found, split=split, since_best=self._standing.since_best)

    @property
    def state(self) -> State:
        """Parameters, buffers and the optimizer's state, copied; what is assigned takes their place."""
        engine = self._engine
        states = {name: vector.copy() for name, vector in engine.states().items()}
        return State(engine.parameters().copy(), engine.buffers().copy(), states, self._model.parameters)

    @state.setter
    def state(self, state: State) -> None:
        self._engine.restore(state.parameters, state.buffers, state.optimizer)
        self._keeping.changed(self._step)

    def log(self, line: str) -> None:
        """Prints a line at once: it is seen where the training is followed, and in the log of the results."""
        say(line)

    def record(self, event: str, **numbers: Field | np.generic) -> None:
        """Adds a line to metrics.jsonl: an event of the loop's own, the step, and what else is given.

        Raises:
          ValueError: the runner itself records events of that name.
        """
        if event in OF_THE_RUNNER:
            raise ValueError(f"{event!r} is what the runner records: give the event another name")
        plain: dict[str, Field] = {n: v.item() if isinstance(v, np.generic) else v for n, v in numbers.items()}
        self._metrics.record(event, step=self._step, **plain)

    def save(self) -> None:
        """Saves a checkpoint of the state as it is now, from which `--resume` may go on.

        Raises:
          FormatError: a number of the state is not finite, or the disk is full.
        """
        self._keeping.save(self._step)
        self._saved_at = time.perf_counter()

    def _save_automatically(self, step: int) -> None:
        self._keeping.save(step, automatic=True)
        self._saved_at = time.perf_counter()

    def _parts(self, batch: Batch) -> list[Batch]:
        """A batch in parts of the batch size, which the engine takes."""
        inputs, labels = batch
        size = self._plan.batch_size
        if len(inputs) != len(labels) or not len(labels) or len(labels) % size:
            raise ValueError(f"a batch of {len(inputs)} images and {len(labels)} labels: --batch-size is {size}")
        target = self._model.target
        if target.kind == CLASS and len(wrong := target.no_classes(labels)):
            raise ValueError(f"a batch has class {wrong[0]}, there are 0 to {target.count - 1}")
        self._images += len(labels)
        return [(inputs[start : start + size], labels[start : start + size]) for start in range(0, len(labels), size)]

    def _update_by(self, parts: Sequence[Batch], rate: float, number: int) -> float:
        if len(parts) > 1:
            return self._engine.train_batches(parts, rate, number)
        return self._engine.train_step(*parts[0], rate, number)

    def _made(self, losses: Sequence[float], rates: Sequence[float]) -> None:
        """Records updates that were made."""
        took, images = self._seconds, self._images
        self._seconds, self._images = 0.0, 0
        seconds = round(took / len(losses), 6)
        for loss, rate in zip(losses, rates, strict=True):
            self._step += 1
            self._keeping.check_loss(loss, self._step)
            self._metrics.record("step", step=self._step, loss=loss, learning_rate=rate, seconds=seconds)
        self._live.after(self._step, losses[-1], self._score, images, took)


Loop = Callable[[TrainingRun], None]
