"""Activations whose slope jumps have torch's gradient at the jump and at the numbers next to it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional

from pipeline.graphs.graph import Graph
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import RULES


def numbers_around(*bounds: float) -> np.ndarray:
    """Each bound, the float32 numbers next to it, and some far away."""
    exact = [np.float32(bound) for bound in bounds]
    near = [np.nextafter(bound, side) for bound in exact for side in (np.float32(-np.inf), np.float32(np.inf))]
    return np.array([*exact, *near, -3e38, -100.0, -1.5, -1e-30, 0.0, 1e-30, 0.7, 2.0, 100.0, 3e38], np.float32)


def run(g: Graph, y: str, **inputs: np.ndarray) -> np.ndarray:
    """What a graph makes of vectors."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in inputs.items()]
    model: onnx.ModelProto = g.model("graph", infos, [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n"])])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [result] = session.run(None, inputs)
    return np.asarray(result)


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0), (-0.5, 0.3), (1e-3, 1e3)], ids=str)
def test_a_gradient_passes_between_the_bounds_alone(bounds: tuple[float, float]) -> None:
    low, high = (float(np.float32(bound)) for bound in bounds)
    x = numbers_around(low, high)
    # Numbers nearer to 0 than the smallest normal one are 0 to some processors.
    x = x[(x == 0) | (np.abs(x) >= np.finfo(np.float32).tiny)]
    g = Graph()
    g.name("x"), g.name("dy")
    dx = run(g, g.where_between("x", low, high, "dy"), x=x, dy=np.full_like(x, 3.0))
    assert np.array_equal(dx, np.where((x > low) & (x < high), np.float32(3.0), np.float32(0.0)))


def test_hard_swish_and_its_gradient_equal_torchs() -> None:
    x = numbers_around(-3.0, 3.0)
    x = x[np.abs(x) < 1e38]
    dy = np.linspace(-1, 2, len(x), dtype=np.float32)
    tensor = torch.from_numpy(x).requires_grad_()
    expected = functional.hardswish(tensor)
    expected.backward(torch.from_numpy(dy))  # type: ignore[no-untyped-call]
    for kind, names, wanted in (
        ("HardSwish", ("x",), expected.detach()),
        ("HardSwishGrad", ("dy", "x"), tensor.grad),
    ):
        g = Graph()
        for name in names:
            g.name(name)
        y = RULES[kind](Node(kind, kind, names, ("y",), {}, (None,) * len(names), (None,)), g)
        assert isinstance(y, str)
        assert wanted is not None
        inputs = {name: {"x": x, "dy": dy}[name] for name in names}
        np.testing.assert_allclose(run(g, y, **inputs), wanted.numpy(), rtol=1e-6, atol=1e-6)
