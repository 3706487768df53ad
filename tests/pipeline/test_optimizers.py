"""Each optimizer makes torch.optim's updates."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from pipeline.errors import UsageError
from pipeline.graphs.graph import Graph
from pipeline.optimizers import Optimizer, Update

SIZE, STEPS, RATE = 200, 50, 0.01

CASES = [
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"weight_decay": 0.1, "beta1": 0.8}, torch.optim.Adam, {"weight_decay": 0.1, "betas": (0.8, 0.999)}),
    ("adamw", {}, torch.optim.AdamW, {}),
    ("adamw", {"weight_decay": 0.2, "eps": 1e-6}, torch.optim.AdamW, {"weight_decay": 0.2, "eps": 1e-6}),
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9, "dampening": 0.01}, torch.optim.SGD, {"momentum": 0.9, "dampening": 0.01}),
    ("sgd", {"momentum": 0.9, "nesterov": 1}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.5, "weight_decay": 0.1}, torch.optim.SGD, {"momentum": 0.5, "weight_decay": 0.1}),
    ("rmsprop", {}, torch.optim.RMSprop, {}),
    ("rmsprop", {"momentum": 0.9, "centered": 1}, torch.optim.RMSprop, {"momentum": 0.9, "centered": True}),
    ("rmsprop", {"alpha": 0.9, "weight_decay": 0.1}, torch.optim.RMSprop, {"alpha": 0.9, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "options", "rival", "rival_options"), CASES)
def test_fifty_steps_equal_torchs(name: str, options: dict, rival: type, rival_options: dict) -> None:  # type: ignore[type-arg]
    random = np.random.default_rng(0)
    start = random.normal(size=SIZE).astype(np.float32)
    # Gradients from 1e-8 to 1: the bias corrections and eps matter for the small ones.
    scale = 10.0 ** random.uniform(-8, 0, SIZE)
    gradients = [(random.normal(size=SIZE) * scale).astype(np.float32) for _ in range(STEPS)]

    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = rival([parameter], lr=RATE, **rival_options)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()

    lowered = _run(Optimizer(name, tuple(options.items())), start, gradients)
    np.testing.assert_allclose(lowered, parameter.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UsageError, match="adam has no option 'momentum'"):
        Optimizer("adam", (("momentum", 0.9),))


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'lion'"):
        Optimizer("lion")


def _run(optimizer: Optimizer, start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    g = Graph()
    names = optimizer.states()
    for name in ("parameters", "gradient", "learning_rate", "step", *names):
        g.name(name)
    update = Update("parameters", "gradient", "learning_rate", "step", {n: n for n in names}, optimizer.values())
    parameters, states = optimizer.write(update, g)
    g.publish({"parameters_out": parameters, **{f"{name}_out": states[name] for name in names}})
    vectors = ["parameters", *names]
    model = g.model(
        "update",
        [
            helper.make_tensor_value_info("gradient", TensorProto.FLOAT, [SIZE]),
            helper.make_tensor_value_info("learning_rate", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE]) for name in vectors),
        ],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [SIZE]) for name in vectors],
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    state = {name: np.zeros(SIZE, np.float32) for name in names} | {"parameters": start}
    for number, gradient in enumerate(gradients, 1):
        feeds = {"gradient": gradient, "learning_rate": np.array(RATE, np.float32), "step": np.array(number)}
        state = dict(zip(vectors, session.run(None, feeds | state), strict=True))
    return np.asarray(state["parameters"])
