"""The lowered graphs in the stock ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.base import Batch, Proximal, Vector
from device_runtime.engines.eval_step import EvalStep
from device_runtime.engines.gradient_step import GradientStep
from device_runtime.engines.norm_step import NormStep
from device_runtime.engines.sessions import open_session, session_options
from device_runtime.engines.update_step import UpdateStep
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.model import Model
from device_runtime.formats.steps import PROXIMAL, clipped_share


class LoweredEngine:
    """The steps of a model folder, each opened when it is first needed.

    Parameters, optimizer state and buffers lie in the vectors of the checkpoint that the engine is made of: they are
    updated there, and nothing holds them a second time.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        start: Checkpoint,
        batch_size: int,
        threads: int,
        proximal: Proximal | None = None,
    ) -> None:
        """Takes the vectors of `start` for its own, and writes over them: `proximal` has another one.

        A model that takes a proximal term trains without it where none is given; no other model may be given one.
        """
        self._model = model
        self._folder = folder
        self._threads = threads
        self._batch_size = batch_size
        self._proximal = proximal or Proximal(start.parameters, 0.0)
        self._vectors = {"parameters": start.parameters}
        for name in model.optimizer.states:
            first = name not in start.states
            self._vectors[name] = np.zeros(model.parameters_size, np.float32) if first else start.states[name]
        self._buffers = start.buffers
        self._halves: tuple[GradientStep, UpdateStep] | None = None
        self._norm: NormStep | None = None
        self._sink: ort.InferenceSession | None = None
        self._eval: EvalStep | None = None

    def train_step(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any], rate: float, step: int) -> float:
        """See `Engine`; the batch has to have the size that the engine was made for."""
        gradients, update = self._opened()
        loss = gradients.run(inputs, label, step)
        update.run(rate, step, self._share(gradients.gradient, 1.0))
        return loss

    def train_batches(self, batches: Sequence[Batch], rate: float, step: int) -> float:
        """See `Engine`: each batch adds to one gradient, then one update."""
        gradients, update = self._opened()
        loss = self._add_up(batches, step)
        update.run(rate, step, self._share(gradients.gradient, 1 / len(batches)))
        return loss

    def gradient(self, batches: Sequence[Batch], step: int) -> tuple[float, Vector]:
        """See `Engine`."""
        gradients, _ = self._opened()
        loss = self._add_up(batches, step)
        return loss, gradients.gradient / np.float32(len(batches))

    def update(self, gradient: Vector, rate: float, step: int) -> None:
        """See `Engine`."""
        gradients, update = self._opened()
        gradients.gradient[:] = gradient
        update.run(rate, step, self._share(gradients.gradient, 1.0))

    def _add_up(self, batches: Sequence[Batch], step: int) -> float:
        """Leaves the sum of the gradients of batches where the update takes it; returns their mean loss."""
        gradients, _ = self._opened()
        losses: list[float] = []
        for number, (inputs, label) in enumerate(batches):
            before = gradients.gradient.copy() if losses else None
            # A number of its own for each batch: with the update's, all would drop the same elements.
            losses.append(gradients.run(inputs, label, step * len(batches) + number))
            if before is not None:
                gradients.gradient += before
        return sum(losses) / len(losses)

    def train_steps(self, batches: Sequence[Batch], rates: Sequence[float], first: int) -> list[float]:
        """See `Engine`: the runtime itself loops over the updates."""
        if self._sink is None:
            options = session_options(self._threads)
            options.add_free_dimension_override_by_name("N", self._batch_size)
            self._sink = open_session(self._folder / "sink_step.onnx", options)
        inputs, labels = (np.stack(arrays) for arrays in zip(*batches, strict=True))
        live = dict(self._vectors) | ({"buffers": self._buffers} if self._model.buffers_size else {})
        feeds = {self._model.batch_input: inputs, "label": labels, **live}
        feeds |= {"learning_rate": np.array(rates, np.float32), "step": np.array(first, np.int64)}
        if self._model.proximal:
            feeds |= {"start": self._proximal.start, PROXIMAL: np.array(self._proximal.weight, np.float32)}
        losses, *new = self._sink.run(["loss", *(f"{name}_out" for name in live)], feeds)
        for vector, values in zip(live.values(), new, strict=True):
            vector[:] = values
        return [float(loss) for loss in losses]

    def evaluate(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any]) -> tuple[float, Vector]:
        """See `Engine`; batches may differ in size."""
        if self._eval is None:
            self._eval = EvalStep(self._folder, self._model, self._vectors["parameters"], self._buffers, self._threads)
        return self._eval.run(inputs, label)

    def restore(self, parameters: Vector, buffers: Vector, states: Mapping[str, Vector]) -> None:
        """See `Engine`; a state of the optimizer that is not given is as before the first update."""
        self._vectors["parameters"][:] = parameters
        self._buffers[:] = buffers
        for name in self._model.optimizer.states:
            self._vectors[name][:] = states.get(name, 0.0)

    def parameters(self) -> Vector:
        """See `Engine`."""
        return self._vectors["parameters"]

    def buffers(self) -> Vector:
        """See `Engine`."""
        return self._buffers

    def states(self) -> Mapping[str, Vector]:
        """See `Engine`."""
        return {name: self._vectors[name] for name in self._model.optimizer.states}

    def _opened(self) -> tuple[GradientStep, UpdateStep]:
        if self._halves is None:
            parameters = self._vectors["parameters"]
            gradients = GradientStep(
                self._folder,
                self._model,
                parameters,
                self._buffers,
                self._batch_size,
                self._threads,
                self._proximal,
            )
            self._halves = gradients, UpdateStep(self._folder, self._vectors, gradients.gradient, self._threads)
        return self._halves

    def _share(self, gradient: Vector, share: float) -> float:
        """What the gradient is multiplied by: `share`, or less where gradient × `share` is longer than `clip_norm`."""
        if self._model.clip_norm is None:
            return share
        if self._norm is None:
            self._norm = NormStep(self._folder, self._threads)
        return clipped_share(share, self._norm.square_sum(gradient), self._model.clip_norm)
