"""What a process of the engine takes before it knows of a model."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from device_runtime.metrics import resident_memory_bytes

# A graph of one Identity from `a` to `b`, float32 N, as the standard's files have it.
_GRAPH = (
    b'\x08\x08:9\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x10\n\x01a\x12\x0b\n\t\x08\x01\x12\x05\n\x03\x12\x01n'
    b"b\x10\n\x01b\x12\x0b\n\t\x08\x01\x12\x05\n\x03\x12\x01nB\x04\n\x00\x10\x11"
)


def base_memory_bytes() -> int:
    """Resident size of this process now, with its imports and after an all but empty session.

    Memory above it is what a model takes; what is below it a network of any size has.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(_GRAPH, options, ["CPUExecutionProvider"])
    session.run(None, {"a": np.zeros(1, np.float32)})
    return resident_memory_bytes()
