"""Each family of operators, differentiated by torch, translated and lowered, gives torch's gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from onnx import helper
from torch.nn import functional

from device_runtime.formats.steps import GRADIENT
from pipeline.capture.joint.trace import trace_training
from pipeline.capture.joint.translate import translate
from pipeline.graphs.graph import Graph
from pipeline.graphs.names import LOSS
from pipeline.graphs.reading import shapes_of
from pipeline.lowering.rules.dropout import give_step
from pipeline.lowering.training_graph import lower
from tests.pipeline.lowering.cases import Case
from tests.pipeline.lowering.families import FAMILIES
from tests.pipeline.lowering.harness import Array, Gradients, Labels, assert_same, by_torch
from tests.pipeline.lowering.test_families import CLASSES, HEALTH, TOLERANCE, Around

# Cases that are drawn of a variant: each family has hundreds that the other way to gradients is tested with.
EXAMPLES = 2


def by_joint(module: torch.nn.Module, image: Array, label: Labels) -> Gradients:
    """Traces with a batch of another size, translates, lowers and runs one batch."""
    example = torch.from_numpy(np.concatenate([image[:1]] * (len(image) + 2)))
    labels = torch.zeros(len(example), dtype=torch.int64)
    training = translate(trace_training(module, [], example, labels, functional.cross_entropy), ())
    g = Graph()
    for name in ("image", "labels"):
        g.name(name)
    give_step(g, g.constant(1, np.int64))
    values = lower(training, g, {"image": "image", "labels": "labels"}, {})
    names = [output.name for output in training.graph.output if output.name.startswith((GRADIENT, LOSS))]
    g.publish({f"out:{name}": values[name] for name in names})
    shapes = shapes_of(training)
    outputs = [helper.make_tensor_value_info(f"out:{name}", 1, list(shapes[name])) for name in names]
    model = g.model("gradients", list(training.graph.input), outputs)
    options = ort.SessionOptions()
    # ScatterND of 1.19.2 loses sums of equal indices on several threads; the device's 1.31.1 does not.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    found: dict[str, Any] = dict(zip(names, session.run(None, {"image": image, "labels": label}), strict=True))
    loss = float(found.pop(LOSS))
    return Gradients(loss, {name.removeprefix(GRADIENT): value for name, value in found.items()})


def drawn(cases: SearchStrategy[Case]) -> list[tuple[Case, int, int]]:
    """Random cases of a variant, each with a batch and a seed; the first is the simplest."""
    found: list[tuple[Case, int, int]] = []

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
    @given(case=cases, batch=st.integers(1, 3), seed=st.integers(0, 1000))
    def draw(case: Case, batch: int, seed: int) -> None:
        found.append((case, batch, seed))

    torch.manual_seed(0)
    draw()
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_equal_torchs_for_random_cases(name: str) -> None:
    everything = os.environ.get("SWEEP") == "all"
    variants = [*FAMILIES[name].variants.values()]
    # `SWEEP=all` compares each variant, and its simplest case too, which the other way to gradients is tested with.
    for cases in variants if everything else variants[::2]:
        for case, batch, seed in drawn(cases)[0 if everything else -1 :]:
            torch.manual_seed(seed)
            image = np.random.default_rng(seed).normal(size=(batch, *case.shape)).astype(np.float32)
            label = np.arange(batch, dtype=np.int64) % CLASSES
            module = Around(case)
            assert_same(by_joint(module, image, label), by_torch(module, image, label), TOLERANCE)
