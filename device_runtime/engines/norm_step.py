"""norm_step.onnx: how long the gradient is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device_runtime.engines.base import Vector
from device_runtime.engines.sessions import open_session, session_options
from device_runtime.engines.update_step import CHUNK


class NormStep:
    """Takes the norm of a flat vector, part by part."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._session = open_session(folder / "norm_step.onnx", session_options(threads))

    def square_sum(self, vector: Vector) -> float:
        """The sum of the squares of a float32 vector."""
        parts = (vector[start : start + CHUNK] for start in range(0, len(vector), CHUNK))
        return float(np.sum([self._session.run(None, {"gradient": part})[0] for part in parts], dtype=np.float64))
