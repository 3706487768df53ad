"""eval_step.onnx: loss and output of a batch, with the parameters where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.engines.base import Vector
from device_runtime.engines.sessions import bind_batch, bind_output, bind_state, open_session, session_options
from device_runtime.formats.model import Model


class EvalStep:
    """Reads the flat vectors of parameters and buffers."""

    def __init__(self, folder: Path, model: Model, parameters: Vector, buffers: Vector, threads: int) -> None:
        self._session = open_session(folder / "eval_step.onnx", session_options(threads))
        self._model = model
        # What is bound has to live as long as this does.
        self._bound = parameters, buffers
        self._loss = np.zeros((), np.float32)
        self._binding = self._session.io_binding()
        bind_state(self._binding, model, parameters, buffers)
        bind_output(self._binding, "loss", self._loss)

    def run(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any]) -> tuple[float, Vector]:
        """Mean loss and output, of one class for a sample the logits, float32 N×classes."""
        self._batch = bind_batch(self._binding, self._model, inputs, label)
        # Not the arena's memory, which a training step takes as one block: what is kept of it would be in the way.
        logits = np.empty((len(label), *self._model.target.output), np.float32)
        bind_output(self._binding, "logits", logits)
        self._session.run_with_iobinding(self._binding)
        return float(self._loss), logits
