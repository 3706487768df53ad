"""What the lowered graphs compute, on the ONNX Runtime of the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import Tensor, read_model
from pipeline.checking.observed import Array, Batch, Evaluation, Step, nudged
from pipeline.graphs.sessions import open_session
from pipeline.graphs.names import FEATURES, IMAGE

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort

Feeds = dict[str, Any]


class LoweredSide:
    """A model folder with its untrained checkpoint; buffers move from step to step, parameters when they are nudged.

    Attributes:
      model: what model.json says.
      gradient: the gradient step, a model that draws nothing.
      evaluation: the eval step.
      parameters: as they are now, one vector.
    """

    def __init__(self, folder: Path, gradient: onnx.ModelProto, evaluation: onnx.ModelProto | None = None) -> None:
        self.folder = folder
        self.model = read_model(folder)
        self.gradient = gradient
        self.evaluation = evaluation or folder / "eval_step.onnx"
        start = read_checkpoint(folder / untrained_name(self.model), self.model)
        self._start = start
        self.restart()
        self._backbone = open_session(folder / "features.onnx") if self.model.features else None

    def restart(self) -> None:
        """Back to where training begins."""
        self.parameters, self._buffers = self._start.parameters, self._start.buffers

    def nudge(self) -> None:
        """Moves what trains."""
        moved = {name: nudged(name, value) for name, value in by_name(self.parameters, self.model.parameters).items()}
        self.parameters = np.concatenate([np.ravel(value) for value in moved.values()])

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return open_session(self.gradient)

    def evaluate(self, batch: Batch) -> Evaluation:
        """Logits and loss of the eval step."""
        session = open_session(self.evaluation)
        loss, logits = session.run(["loss", "logits"], self.evaluation_feeds(batch))
        return Evaluation(logits, loss)

    def step(self, batch: Batch) -> Step:
        """Loss, gradients and new buffers of the gradient step."""
        names = ["loss", "gradient_out", *(["buffers_out"] if self.model.buffers_size else [])]
        loss, gradient, *buffers = self._session.run(names, self.step_feeds(batch))
        self._buffers = buffers[0] if buffers else self._buffers
        gradients = by_name(gradient, self.model.parameters)
        return Step(loss, frozenset(gradients), gradients, self.buffers())

    def buffers(self) -> dict[str, Array]:
        """The running statistics as they are now, by name."""
        return by_name(self._buffers, self.model.buffers)

    def train(self, batch: Batch, rate: float) -> dict[str, Array]:
        """Every output of the first update by train_step.onnx."""
        session = open_session(self.folder / "train_step.onnx")
        feeds = self.evaluation_feeds(batch) | self._update_feeds(rate, 1, self.parameters, {})
        return _run(session, feeds)

    def update(
        self, gradient: Array, rate: float, number: int, parameters: Array, states: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Every output of update_step.onnx for a gradient; `states` are empty before the first update."""
        session = open_session(self.folder / "update_step.onnx")
        feeds: Feeds = {"gradient": gradient, "scale": np.array(1, np.float32)}
        return _run(session, feeds | self._update_feeds(rate, number, parameters, states))

    def evaluation_feeds(self, batch: Batch) -> Feeds:
        """What the eval step takes."""
        buffers = {"buffers": self._buffers} if self.model.buffers_size else {}
        return {**self._inputs(batch), "parameters": self.parameters, **buffers}

    def step_feeds(self, batch: Batch) -> Feeds:
        """What the gradient step takes."""
        zeros, first = np.zeros_like(self.parameters), np.array(1, np.int64)
        return self.evaluation_feeds(batch) | {"gradient": zeros, "step": first}

    def _inputs(self, batch: Batch) -> Feeds:
        if self._backbone is None:
            return {IMAGE: batch.pixels, "label": batch.label}
        features = self._backbone.run([FEATURES], {IMAGE: batch.pixels})[0]
        return {FEATURES: features, "label": batch.label}

    def _update_feeds(self, rate: float, number: int, parameters: Array, states: Mapping[str, Array]) -> Feeds:
        zeros = np.zeros_like(self.parameters)
        scalars = {"learning_rate": np.array(rate, np.float32), "step": np.array(number, np.int64)}
        names = self.model.optimizer.states
        return {**scalars, "parameters": parameters, **{name: states.get(name, zeros) for name in names}}


def by_name(vector: Array, tensors: Iterable[Tensor]) -> dict[str, Array]:
    """The tensors of a flat vector."""
    return {t.name: vector[t.offset : t.offset + t.size].reshape(t.shape) for t in tensors}


def _run(session: Any, feeds: Feeds) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    taken = {info.name for info in session.get_inputs()}
    results = session.run(names, {name: value for name, value in feeds.items() if name in taken})
    return dict(zip(names, results, strict=True))
