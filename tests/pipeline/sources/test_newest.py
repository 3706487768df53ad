"""What opsets 22 and 23 say is said in opset 21, and computes what torch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F  # noqa: N812

from pipeline.errors import ModelError
from pipeline.sources.onnx_files.newest import in_opset_21

LENGTH, HEADS, SIZE = 5, 4, 3
RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def run(
    op_type: str, inputs: list[np.ndarray | None], opset: int = 23, outputs: int = 1, **attributes: Any
) -> np.ndarray:
    """One operator of opset 23 on arrays, all of them but the first constants; said in opset 21."""
    first, *others = inputs
    assert first is not None
    names = ["x", *("" if array is None else f"c{index}" for index, array in enumerate(others))]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, [f"y{index}" for index in range(outputs)], "the node", **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *first.shape[1:]])],
        [
            helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, ["N", *["?"] * (first.ndim - 1)])
            for index in range(outputs)
        ],
        [numpy_helper.from_array(array, f"c{index}") for index, array in enumerate(others) if array is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    in_opset_21(model)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == 21
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["y0"], {"x": first})[0]
    return result


@pytest.mark.parametrize(("axis", "scale"), [(-1, (6,)), (2, (6,)), (-2, (5, 6)), (1, (5, 6))])
def test_rms_normalization_is_torchs(axis: int, scale: tuple[int, ...]) -> None:
    x, weight = draw(2, 5, 6), draw(*scale)
    sizes = x.shape[axis:]
    expected = F.rms_norm(torch.from_numpy(x), sizes, None, 1e-3) * torch.from_numpy(weight)
    np.testing.assert_allclose(
        run("RMSNormalization", [x, weight], axis=axis, epsilon=1e-3), expected, rtol=1e-5, atol=1e-6
    )


MASK = RANDOM.random((LENGTH, LENGTH)) < 0.6
MASK[:, 0] = True
FORMS: dict[str, tuple[int, np.ndarray | None, dict[str, Any]]] = {
    "plain": (HEADS, None, {}),
    "causal": (HEADS, None, {"is_causal": 1}),
    "scaled": (HEADS, None, {"scale": 0.25}),
    "masked by sums": (HEADS, draw(LENGTH, LENGTH), {}),
    "masked by truth": (HEADS, MASK, {}),
    "shared heads": (2, None, {"is_causal": 1}),
}


@pytest.mark.parametrize("flat", [False, True], ids=["heads apart", "heads side by side"])
@pytest.mark.parametrize("name", FORMS)
def test_attention_is_torchs(name: str, flat: bool) -> None:
    shared, mask, attributes = FORMS[name]
    q, k, v = draw(2, HEADS, LENGTH, SIZE), draw(2, shared, LENGTH, SIZE), draw(2, shared, LENGTH, SIZE)
    expected = F.scaled_dot_product_attention(
        torch.from_numpy(q),
        torch.from_numpy(k),
        torch.from_numpy(v),
        attn_mask=None if mask is None else torch.from_numpy(mask),
        is_causal=bool(attributes.get("is_causal")),
        scale=attributes.get("scale"),
        enable_gqa=True,
    ).numpy()
    if flat:
        q, k, v, expected = (a.transpose(0, 2, 1, 3).reshape(2, LENGTH, -1) for a in (q, k, v, expected))
        attributes = {**attributes, "q_num_heads": HEADS, "kv_num_heads": shared}
    np.testing.assert_allclose(run("Attention", [q, k, v, mask], **attributes), expected, rtol=1e-5, atol=1e-5)


def test_attention_with_what_is_not_known_is_named() -> None:
    heads = draw(2, HEADS, LENGTH, SIZE)
    with pytest.raises(ModelError, match=r"Attention \(node 'the node'\) with past keys, a soft cap or"):
        run("Attention", [heads, heads, heads], softcap=2.0)
    with pytest.raises(ModelError, match="further outputs"):
        run("Attention", [heads, heads, heads], outputs=2)


def test_an_older_model_is_left_as_it_is() -> None:
    model = helper.make_model(helper.make_graph([], "graph", [], []), opset_imports=[helper.make_opsetid("", 17)])
    in_opset_21(model)
    assert model.opset_import[0].version == 17
