"""What a newer opset says is said in opset 17, and computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError
from pipeline.sources.opset import in_opset_17

X = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32)
GROUPS, CHANNELS = np.array([0.5, 2.0], np.float32), np.array([0.5, 2.0, -1.0, 3.0], np.float32)


def model_of(
    version: int, op_type: str, *constants: np.ndarray | None, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """One operator on an image, its other inputs constants; None leaves one out."""
    given = {f"c{index}": array for index, array in enumerate(constants) if array is not None}
    others = ["" if array is None else f"c{index}" for index, array in enumerate(constants)]
    names = [f"y{index}" for index in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x", *others], names, "the node", **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *X.shape[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto) -> Sequence[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results: Sequence[np.ndarray] = session.run(None, {"x": X})
    return results


def axes(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


SCALES = np.array([1, 1, 2, 2], np.float32)
SAME: dict[str, onnx.ModelProto] = {
    "what only takes more types": model_of(21, "Flatten", axis=2),
    "gelu": model_of(20, "Gelu"),
    "gelu by tanh": model_of(20, "Gelu", approximate="tanh"),
    "mish": model_of(18, "Mish"),
    "group normalisation by group": model_of(18, "GroupNormalization", GROUPS, GROUPS + 1, num_groups=2, epsilon=0.1),
    "group normalisation by channel": model_of(21, "GroupNormalization", CHANNELS, CHANNELS + 1, num_groups=2),
    "reduction of some axes": model_of(18, "ReduceMean", axes(2, 3), keepdims=0),
    "reduction of all axes": model_of(18, "ReduceMax"),
    "reduction of no axes given": model_of(18, "ReduceL2", axes()),
    "sum, whose axes were an input before": model_of(19, "ReduceSum", axes(1)),
    "split in equal parts": model_of(18, "Split", axis=1, num_outputs=2, outputs=2),
    "split by sizes": model_of(18, "Split", axes(1, 3), axis=1, outputs=2),
    "resize": model_of(19, "Resize", None, SCALES, antialias=0, keep_aspect_ratio_policy="stretch", mode="nearest"),
    "average pooling": model_of(19, "AveragePool", kernel_shape=[2, 2], dilations=[1, 1]),
    "cast": model_of(19, "Cast", to=TensorProto.FLOAT, saturate=1),
    "padding": model_of(19, "Pad", axes(0, 0, 1, 1, 0, 0, 1, 1)),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_in_opset_17(name: str) -> None:
    converted = in_opset_17(SAME[name])
    assert [opset.version for opset in converted.opset_import] == [17]
    assert [output.name for output in converted.graph.output] == [output.name for output in SAME[name].graph.output]
    for value, expected in zip(run(converted), run(SAME[name]), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [{"value_ints": [2, 3]}, {"value": numpy_helper.from_array(axes(2, 3))}], ids=list)
def test_axes_may_be_those_of_a_constant_node(value: dict[str, Any]) -> None:
    model = model_of(18, "ReduceMean", axes(2, 3), keepdims=0)
    del model.graph.initializer[:]
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c0"], **value))
    np.testing.assert_allclose(run(in_opset_17(model))[0], X.mean((2, 3)), rtol=1e-5, atol=1e-5)


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "an operator of later": (
        model_of(18, "Col2Im", axes(6, 6), axes(1, 1)),
        "opset 18, of which opset 17 has no Col2Im (node 'the node')",
    ),
    "an attribute of later": (
        model_of(19, "AveragePool", kernel_shape=[2, 2], dilations=[2, 2]),
        "no AveragePool (node 'the node') with dilations",
    ),
    "an input of later": (
        model_of(18, "Pad", axes(1, 1), np.zeros((), np.float32), axes(2)),
        "no Pad (node 'the node') with 4 inputs",
    ),
    "uneven parts": (
        model_of(18, "Split", axis=1, num_outputs=3, outputs=3),
        "no Split (node 'the node') into uneven parts",
    ),
    "no axes, no reduction": (
        model_of(18, "ReduceMean", noop_with_empty_axes=1),
        "no ReduceMean (node 'the node') with noop_with_empty_axes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_opset_17_lacks_is_named(name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        in_opset_17(model)
    assert message in str(caught.value)


def test_everything_that_opset_17_lacks_is_named_at_once() -> None:
    model = model_of(20, "AveragePool", kernel_shape=[1, 1], dilations=[2, 2])
    reduced = helper.make_node("ReduceMean", ["x", "x"], ["z"], "reduced")
    model.graph.node.append(reduced)
    with pytest.raises(ModelError, match=r"no AveragePool .* with dilations, no ReduceMean .* with computed axes"):
        in_opset_17(model)
