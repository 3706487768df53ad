"""What the lowered graphs compute, on the ONNX Runtime of the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from device_runtime.formats.checkpoint import untrained_name
from device_runtime.formats.model import by_name, read_model
from device_runtime.formats.steps import BUFFER, GRADIENT, PARAMETER, PROXIMAL, RENEWED, START, clipped_share
from pipeline.capture.state import tensors_in
from pipeline.checking.kept import Kept
from pipeline.checking.observed import Array, Batch, Evaluation, Step, nudged
from pipeline.graphs.names import FEATURES, IMAGE
from pipeline.graphs.sessions import open_session
from pipeline.lowering.model_folder import vector_of

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

    def __init__(
        self, folder: Path, gradient: Path | onnx.ModelProto, evaluation: onnx.ModelProto | None = None
    ) -> None:
        self.folder = folder
        self.model = read_model(folder)
        self.gradient = gradient
        self.evaluation = evaluation or folder / "eval_step.onnx"
        self.restart()
        self._backbone = open_session(folder / "features.onnx") if self.model.features else None

    def restart(self) -> None:
        """Back to where training begins."""
        # The old one goes first, it may be large.
        self.parameters = np.empty(0, np.float32)
        start = tensors_in(self.folder / untrained_name(self.model))
        self.parameters = vector_of(start, self.model.parameters)
        self._buffers = vector_of(start, self.model.buffers)

    def nudge(self) -> None:
        """Moves what trains."""
        for name, value in by_name(self.parameters, self.model.parameters).items():
            value[...] = nudged(name, value)

    def close(self) -> None:
        """Lets the session go that steps ran in, with its copies of weights."""
        self.__dict__.pop("_session", None)

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
        results = _run(self._session, self.step_feeds(batch))
        gradients = {tensor.name: results[f"{GRADIENT}{tensor.name}"] for tensor in self.model.parameters}
        renewed = [np.ravel(results[f"{RENEWED}{tensor.name}"]) for tensor in self.model.buffers]
        self._buffers = np.concatenate([np.empty(0, np.float32), *renewed])
        return Step(results["loss"], frozenset(gradients), Kept(self.folder, gradients), self.buffers())

    def buffers(self) -> dict[str, Array]:
        """The running statistics as they are now, by name."""
        return by_name(self._buffers, self.model.buffers)

    def train(self, batch: Batch, rate: float) -> dict[str, Array]:
        """Every output of the first update by train_step.onnx."""
        session = open_session(self.folder / "train_step.onnx")
        feeds = self._inputs(batch) | {"buffers": self._buffers, "start": self.parameters}
        feeds[PROXIMAL] = np.array(1, np.float32)
        return _run(session, feeds | self._update_feeds(rate, 1, self.parameters, {}))

    def update(
        self, gradient: Array, share: float, rate: float, number: int, parameters: Array, states: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Every output of update_step.onnx for a part of the vectors; `states` are empty before the first update."""
        feeds: Feeds = {"gradient": gradient, "scale": np.array(share, np.float32)}
        return _run(self._update, feeds | self._update_feeds(rate, number, parameters, states))

    @cached_property
    def _update(self) -> ort.InferenceSession:
        return open_session(self.folder / "update_step.onnx")

    def evaluation_feeds(self, batch: Batch) -> Feeds:
        """What the eval step takes."""
        parameters = by_name(self.parameters, self.model.parameters)
        feeds = {f"{PARAMETER}{name}": value for name, value in parameters.items()}
        feeds |= {f"{BUFFER}{name}": value for name, value in self.buffers().items()}
        return self._inputs(batch) | feeds

    def step_feeds(self, batch: Batch) -> Feeds:
        """What the gradient step takes."""
        parameters = by_name(self.parameters, self.model.parameters)
        # Where the round began: FedProx's term is 0 there.
        starts = {f"{START}{name}": value for name, value in parameters.items()}
        fixed = {"step": np.array(1, np.int64), PROXIMAL: np.array(1, np.float32)}
        return self.evaluation_feeds(batch) | starts | fixed

    def _inputs(self, batch: Batch) -> Feeds:
        if self._backbone is None:
            return {IMAGE: batch.pixels, "label": batch.label}
        features = self._backbone.run([FEATURES], {IMAGE: batch.pixels})[0]
        return {FEATURES: features, "label": batch.label}

    def share(self, gradient: Iterable[Array]) -> float:
        """What the runner multiplies a gradient in parts by: 1, or less where it is longer than `clip_norm`."""
        if self.model.clip_norm is None:
            return 1.0
        session = open_session(self.folder / "norm_step.onnx")
        square_sum = sum(float(session.run(None, {"gradient": part})[0]) for part in gradient)
        return clipped_share(1.0, square_sum, self.model.clip_norm)

    def _update_feeds(self, rate: float, number: int, parameters: Array, states: Mapping[str, Array]) -> Feeds:
        zeros = np.zeros_like(parameters)
        scalars = {"learning_rate": np.array(rate, np.float32), "step": np.array(number, np.int64)}
        names = self.model.optimizer.states
        return {**scalars, "parameters": parameters, **{name: states.get(name, zeros) for name in names}}


def _run(session: Any, feeds: Feeds) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    taken = {info.name for info in session.get_inputs()}
    results = session.run(names, {name: value for name, value in feeds.items() if name in taken})
    return dict(zip(names, results, strict=True))
