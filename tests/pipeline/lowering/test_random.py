"""Random numbers of a train step: torch's distributions, the same draw for the same step, another for another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from pipeline.graphs.graph import Graph
from pipeline.graphs.node import Node
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.rules.registry import RULES

COUNT = 40_000
# Mean and deviation of each; of bernoulli with p = 0.3.
DISTRIBUTIONS = {
    "CounterUniform": (0.5, (1 / 12) ** 0.5),
    "CounterNormal": (0.0, 1.0),
    "CounterBernoulli": (0.3, (0.3 * 0.7) ** 0.5),
}


def draw(kind: str, name: str, step: int) -> npt.NDArray[np.float32]:
    g = Graph()
    give_step(g, g.name(STEP))
    given = g.floats(np.full(COUNT, 0.3)) if kind == "CounterBernoulli" else g.ints([COUNT])
    made = RULES[kind](Node(kind, name, (given,), ("y",), {}, (None,), (None,)), g)
    assert isinstance(made, str)
    g.publish({"y": made})
    inputs = [helper.make_tensor_value_info(STEP, TensorProto.INT64, [])]
    model = g.model("random", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [COUNT])])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values: npt.NDArray[np.float32] = session.run(None, {STEP: np.array(step)})[0]
    return values


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_the_distribution_is_torchs(kind: str) -> None:
    mean, deviation = DISTRIBUTIONS[kind]
    values = np.concatenate([draw(kind, "layer", step) for step in range(1, 6)])
    # Five standard errors of the mean, and of the deviation at most.
    error = 5 * deviation / len(values) ** 0.5
    assert abs(values.mean() - mean) < error
    assert abs(values.std() - deviation) < 2 * error
    if kind == "CounterNormal":
        # Shares within one and two deviations.
        assert abs((np.abs(values) < 1).mean() - 0.6827) < 0.006
        assert abs((np.abs(values) < 2).mean() - 0.9545) < 0.004


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_step_draws_the_same_again_and_other_steps_and_layers_draw_others(kind: str) -> None:
    first = draw(kind, "layer", 7)
    assert np.array_equal(first, draw(kind, "layer", 7))
    for other in (draw(kind, "layer", 8), draw(kind, "another", 7)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03
