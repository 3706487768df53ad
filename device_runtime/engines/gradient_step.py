"""gradient_step.onnx: the gradient of a batch, tensor by tensor, where the parameters lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.base import Proximal, Vector
from device_runtime.engines.sessions import (
    bind_batch,
    bind_input,
    bind_output,
    bind_state,
    open_session,
    session_options,
    shrinking,
)
from device_runtime.formats.model import Model, by_name
from device_runtime.formats.steps import GRADIENT, PROXIMAL, RENEWED, START


class GradientStep:
    """Reads the flat vectors of parameters and buffers; writes the gradient into a third."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        parameters: Vector,
        buffers: Vector,
        batch_size: int,
        threads: int,
        proximal: Proximal | None = None,
    ) -> None:
        """A model that takes a proximal term trains without it where none is given."""
        options = session_options(threads)
        # A fixed batch lets the runtime fold every shape computation and plan its memory once.
        options.add_free_dimension_override_by_name("N", batch_size)
        self._session = open_session(folder / "gradient_step.onnx", options)
        self._model = model
        self.gradient = np.zeros(model.parameters_size, np.float32)
        # What is bound has to live as long as this does.
        self._parameters, self._buffers, self._renewed = parameters, buffers, np.empty_like(buffers)
        self._loss, self._step = np.zeros((), np.float32), np.zeros((), np.int64)
        # The first run takes memory value by value, later ones one planned block: both would be there at once.
        self._run_options: ort.RunOptions | None = shrinking()
        self._binding = self._session.io_binding()
        bind_input(self._binding, "step", self._step)
        bind_state(self._binding, model, parameters, buffers)
        if model.proximal:
            self._bind_proximal(proximal or Proximal(parameters, 0.0))
        bind_output(self._binding, "loss", self._loss)
        for name, tensor in by_name(self._renewed, model.buffers).items():
            bind_output(self._binding, f"{RENEWED}{name}", tensor)
        for name, tensor in by_name(self.gradient, model.parameters).items():
            bind_output(self._binding, f"{GRADIENT}{name}", tensor)

    def _bind_proximal(self, proximal: Proximal) -> None:
        self._start, self._weight = proximal.start, np.array(proximal.weight, np.float32)
        bind_input(self._binding, PROXIMAL, self._weight)
        for name, tensor in by_name(self._start, self._model.parameters).items():
            bind_input(self._binding, f"{START}{name}", tensor)

    def give_back(self) -> None:
        """Has the next run give back to the system what memory it leaves unused."""
        self._run_options = shrinking()

    def run(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any], step: int) -> float:
        """Puts the mean gradient of a batch into `gradient` and renews the buffers; returns the mean loss."""
        self._batch = bind_batch(self._binding, self._model, inputs, label)
        self._step[...] = step
        self._session.run_with_iobinding(self._binding, self._run_options)
        self._run_options = None
        # Not written in place: something of the graph may read a buffer after its new value is there.
        self._buffers[:] = self._renewed
        return float(self._loss)
