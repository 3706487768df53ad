"""Sessions of the host's ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from device_runtime.formats.steps import EXACT_INT8

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort


def open_session(model: Path | onnx.ModelProto) -> ort.InferenceSession:
    """A silent session on a file or a model.

    Raises:
      Exception: the runtime does not know an operator, an opset or a type of it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Which keeps what a run took, for the next one.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry(*EXACT_INT8)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
