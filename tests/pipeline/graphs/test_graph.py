"""The graph under construction gives its outputs their names."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from pipeline.graphs.graph import Graph, Value


def run(g: Graph, results: dict[str, Value]) -> dict[str, float]:
    """Publishes, and runs the model on x = 3."""
    g.publish(results)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [])
    model = g.model("g", [x], [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in results])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(results, map(float, session.run(list(results), {"x": np.array(3, np.float32)})), strict=True))


def graph() -> Graph:
    g = Graph()
    g.name("x")
    return g


def test_a_value_is_published_without_a_node() -> None:
    g = graph()
    value = g.op("Mul", "x", "x")
    assert run(g, {"y": value}) == {"y": 9}
    assert len(g.nodes) == 1


def test_one_value_by_two_names_an_input_and_a_constant() -> None:
    g = graph()
    value = g.op("Mul", "x", "x")
    assert run(g, {"y": value, "z": value, "w": "x", "v": g.floats(2.0)}) == {"y": 9, "z": 9, "w": 3, "v": 2}


def test_a_value_inside_that_has_the_name_makes_room() -> None:
    g = graph()
    (logits,) = g.ops("Mul", "x", "x", outputs=1)
    g.publish({"logits": logits})
    assert run(g, {"logits": g.op("Add", "logits", "x")}) == {"logits": 12}


def test_a_value_that_has_its_name_keeps_it() -> None:
    g = graph()
    g.publish({"y": g.op("Mul", "x", "x")})
    assert run(g, {"y": "y", "z": g.op("Add", "y", "x")}) == {"y": 9, "z": 12}
