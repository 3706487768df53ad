"""Dropout in inference mode leaves nothing behind of what it read in training."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.graphs.inference_mode import to_inference_mode


def test_constants_that_only_dropout_read_are_gone() -> None:
    ratio = numpy_helper.from_array(np.array(0.5, np.float32), "ratio")
    shared = numpy_helper.from_array(np.array(0.25, np.float32), "shared")
    mode = numpy_helper.from_array(np.array(True), "mode")
    nodes = [
        helper.make_node("Constant", [], ["mode"], value=mode),
        helper.make_node("Dropout", ["x", "ratio", "mode"], ["a"]),
        helper.make_node("Dropout", ["a", "shared", "mode"], ["b", "mask"]),
        helper.make_node("Mul", ["b", "shared"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    model = helper.make_model(helper.make_graph(nodes, "dropout", [x], [y], [ratio, shared]))
    to_inference_mode(model)
    assert [node.op_type for node in model.graph.node] == ["Dropout", "Dropout", "Mul"]
    assert [tensor.name for tensor in model.graph.initializer] == ["shared"]
