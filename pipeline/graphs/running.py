"""Runs a graph in ONNX Runtime on the host, as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Values = dict[str, npt.NDArray[Any]]


def open_graph(model: onnx.ModelProto) -> Any:
    """A session without fusion, on one thread, silent.

    Raises:
      Exception: ONNX Runtime's own, which have no base class.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run(session: Any, names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> Values:
    """The values of these names.

    Raises:
      Exception: ONNX Runtime's own, which have no base class.
    """
    return dict(zip(names, (np.asarray(value) for value in session.run(list(names), dict(feeds))), strict=True))


def watching(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A copy that gives every value that its operators compute, and their names."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = list(dict.fromkeys(name for node in model.graph.node for name in node.output if name))
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return watched, names
