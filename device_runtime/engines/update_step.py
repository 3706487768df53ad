"""update_step.onnx: the optimizer, over parts of the flat vectors, each written over where it was read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from device_runtime.engines.base import Vector
from device_runtime.engines.sessions import bind_input, bind_output, open_session, session_options

# Elements of a part, about: those of all vectors stay in the processor's cache from one operator to the next.
CHUNK = 2**16


class UpdateStep:
    """Updates parameters and states by a gradient, all of them flat vectors of one length."""

    def __init__(self, folder: Path, vectors: Mapping[str, Vector], gradient: Vector, threads: int) -> None:
        """`vectors` are `parameters` and the optimizer's states by name."""
        self._session = open_session(folder / "update_step.onnx", session_options(threads))
        self._rate, self._scale, self._step = np.zeros((), np.float32), np.zeros((), np.float32), np.zeros((), np.int64)
        # What is bound has to live as long as this does.
        self._bound = (*vectors.values(), gradient)
        self._bindings = []
        # Equal ones: a call for a small rest would take as long as one for a whole part.
        bounds = np.linspace(0, len(gradient), max(round(len(gradient) / CHUNK), 1) + 1, dtype=int)
        for start, end in pairwise(bounds):
            part = slice(start, end)
            binding = self._session.io_binding()
            for name, scalar in (("learning_rate", self._rate), ("scale", self._scale), ("step", self._step)):
                bind_input(binding, name, scalar)
            bind_input(binding, "gradient", gradient[part])
            for name, vector in vectors.items():
                bind_input(binding, name, vector[part])
                bind_output(binding, f"{name}_out", vector[part])
            self._bindings.append(binding)

    def run(self, rate: float, step: int, scale: float) -> None:
        """Makes update number `step`, from 1, at that learning rate, with the gradient × `scale`."""
        self._rate[...], self._step[...], self._scale[...] = rate, step, scale
        for binding in self._bindings:
            self._session.run_with_iobinding(binding)
