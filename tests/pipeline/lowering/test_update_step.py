"""The update step may be written over what it reads."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from device_runtime.engines.sessions import bind_input, bind_output
from pipeline.graphs.graph import needed
from pipeline.lowering.step import build_update_step
from pipeline.optimizers import RULES, parse_optimizer

TEXTS = [
    *RULES,
    *("adam,weight_decay=0.1", "adamw,weight_decay=0.1", "sgd,momentum=0.9,dampening=0.1", "sgd,weight_decay=0.1"),
    *("sgd,momentum=0.9,nesterov=1,weight_decay=0.1", "rmsprop,momentum=0.9,centered=1,weight_decay=0.1"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_reads_a_vector_that_does_not_lead_to_its_new_value(text: str) -> None:
    optimizer = parse_optimizer(text)
    graph = build_update_step(optimizer).graph
    for name in ("parameters", *optimizer.states()):
        leading = {node.output[0] for node in needed(graph.node, [f"{name}_out"])}
        readers = [node for node in graph.node if name in node.input]
        assert {node.output[0] for node in readers} <= leading
        # And what writes it is element by element, so that each is read before it is written.
        last = next(node for node in graph.node if node.output[0] == f"{name}_out")
        assert last.op_type in ("Add", "Sub", "Mul", "Div", "Identity")


@pytest.mark.parametrize("text", TEXTS)
def test_in_place_it_gives_what_it_gives_elsewhere(text: str) -> None:
    optimizer = parse_optimizer(text)
    model: onnx.ModelProto = build_update_step(optimizer)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    vectors = {name: random.random(1000, np.float32) for name in ("parameters", *optimizer.states())}
    fixed = {"gradient": random.random(1000, np.float32), "learning_rate": np.float32(0.1), "scale": np.float32(0.5)}
    fixed |= {"step": np.array(3)}
    given = {name: np.asarray(value) for name, value in fixed.items()}
    taken = {info.name for info in session.get_inputs()}
    outputs = [output.name for output in session.get_outputs()]
    feeds = {name: value for name, value in (given | vectors).items() if name in taken}
    expected = dict(zip(outputs, session.run(outputs, feeds), strict=True))
    binding = session.io_binding()
    for name in taken:
        bind_input(binding, name, feeds[name])
    for name in vectors:
        bind_output(binding, f"{name}_out", vectors[name])
    session.run_with_iobinding(binding)
    for name, vector in vectors.items():
        np.testing.assert_array_equal(vector, expected[f"{name}_out"])
