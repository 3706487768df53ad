"""Opens and runs a model for the first time, as a program of its own: damaged ones crash onnxruntime.

A division by zero in its shape inference, as by a stride of 0, ends the whole process. `batch.py` starts this before it
opens the model itself; what raises an error here raises it there, where it is told.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def main(file: str) -> None:
    """Goes through what the stages do with a model before they know that it runs."""
    # The package of onnxruntime-training imports torch where it finds it, which takes seconds and serves nothing here.
    sys.modules["torch"] = None  # type: ignore[assignment]
    import numpy as np
    import onnx
    import onnxruntime as ort

    with suppress(Exception):
        onnx.shape_inference.infer_shapes(onnx.load(file), data_prop=True)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options.graph_optimization_level = level
        with suppress(Exception):
            session = ort.InferenceSession(file, options, ["CPUExecutionProvider"])
            given = session.get_inputs()[0]
            sizes = [size if isinstance(size, int) else 2 for size in given.shape]
            session.run(None, {given.name: np.zeros(sizes, np.float32)})


if __name__ == "__main__":
    main(sys.argv[1])
