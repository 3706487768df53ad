"""Sessions of the host's ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


def open_session(model: Path | onnx.ModelProto) -> ort.InferenceSession:
    """A silent session on a file or a model.

    Raises:
      Exception: the runtime does not know an operator, an opset or a type of it.
    """
    import onnxruntime as ort

    from device_runtime.engines.sessions import exact_products

    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Which keeps what a run took, for the next one.
    options.enable_cpu_mem_arena = False
    exact_products(options)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
