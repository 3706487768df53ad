"""eval_step.onnx: loss and logits of a batch, with the parameters where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.engines.base import Vector
from device_runtime.engines.sessions import bind_input, bind_output, open_session, session_options
from device_runtime.formats.model import Model, by_name
from device_runtime.formats.steps import BUFFER, PARAMETER


class EvalStep:
    """Reads the flat vectors of parameters and buffers."""

    def __init__(self, folder: Path, model: Model, parameters: Vector, buffers: Vector, threads: int) -> None:
        self._session = open_session(folder / "eval_step.onnx", session_options(threads))
        self._input = "features" if model.features else "image"
        # What is bound has to live as long as this does.
        self._bound = parameters, buffers
        self._loss, self._classes = np.zeros((), np.float32), model.classes
        self._binding = self._session.io_binding()
        for name, tensor in by_name(parameters, model.parameters).items():
            bind_input(self._binding, f"{PARAMETER}{name}", tensor)
        for name, tensor in by_name(buffers, model.buffers).items():
            bind_input(self._binding, f"{BUFFER}{name}", tensor)
        bind_output(self._binding, "loss", self._loss)

    def run(self, inputs: npt.NDArray[Any], label: npt.NDArray[np.int64]) -> tuple[float, Vector]:
        """Mean loss and logits, float32 N×classes."""
        # What is bound has to live until the run is over.
        inputs, label = np.ascontiguousarray(inputs), np.ascontiguousarray(label)
        bind_input(self._binding, self._input, inputs)
        bind_input(self._binding, "label", label)
        # Not the arena's memory, which a training step takes as one block: what is kept of it would be in the way.
        logits = np.empty((len(label), self._classes), np.float32)
        bind_output(self._binding, "logits", logits)
        self._session.run_with_iobinding(self._binding)
        return float(self._loss), logits
