"""JAX: the network's forward graph, differentiated and compiled by JAX, with the optimizer in the same program.

JAX takes no torch module: it is given the graph that was exported, operator by operator. Batch normalisation that
trains takes the batch's statistics; dropout, which the graph has not, is left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from device_runtime.formats.model import read_model
from device_runtime.timing import LEARNING_RATE
from pipeline.bench.rivals.task import Step, Task, missing

Values = dict[str, Any]


class Lacking(Exception):
    """The rival lacks operators; the message names them."""


def begin(threads: int) -> None:
    """Imports it with so many threads, and compiles a first function."""
    # Read when the backend starts.
    os.environ["NPROC"] = str(threads)
    try:
        import jax
    except ImportError as error:
        raise missing("jax") from error
    # What is only needed to read the graph is not the step's memory.
    import pipeline.bench.rivals.jax_operators
    import pipeline.capture.losses
    import pipeline.capture.split  # noqa: F401

    jax.jit(lambda x: x + 1)(1.0).block_until_ready()


def step(task: Task, threads: int) -> Step:
    """Forward and backward pass and the update as one compiled function, which takes its state over."""
    import jax

    from pipeline.capture.losses import is_fused, with_loss
    from pipeline.capture.split import split_parameters

    forward = onnx.load(task.export / "forward.onnx")
    trainable, _ = split_parameters(forward, task.recipe.trainable)
    if not is_fused(task.recipe):
        forward = with_loss(forward, task.recipe, task.target.count)
    update = onnx.load(task.package / "model" / "update_step.onnx")
    _check([forward, update])
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in forward.graph.initializer}
    running = {name for node in _trained_norms(forward, trainable) for name in node.input[3:5]}
    parameters = {name: constants.pop(name) for name in trainable}
    statistics = {name: constants.pop(name) for name in running}
    names = read_model(task.package / "model").optimizer.states
    states = {name: {key: np.zeros_like(value) for key, value in parameters.items()} for name in names}

    def loss_of(parameters: Values, statistics: Values, image: Any, label: Any) -> tuple[Any, Values]:
        feeds = {"image": image, "labels": label, **constants, **parameters, **statistics}
        values = _run(forward, feeds, frozenset(running))
        renewed = {name: values[f"{name} renewed"] for name in statistics}
        return (values["loss"] if "loss" in values else _cross_entropy(values["logits"], label)), renewed

    def whole(number: Any, parameters: Values, statistics: Values, states: Values, image: Any, label: Any) -> Any:
        differentiated = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), gradients = differentiated(parameters, statistics, image, label)
        new = {key: _updated(update, key, number, gradients, parameters, states) for key in parameters}
        states = {name: {key: new[key][f"{name}_out"] for key in new} for name in states}
        return loss, {key: new[key]["parameters_out"] for key in new}, statistics, states

    compiled = jax.jit(whole, donate_argnums=(1, 2, 3))
    image, label = jax.numpy.asarray(task.image()), jax.numpy.asarray(task.label())
    live: Any = (parameters, statistics, states)
    number = 0

    def one() -> float:
        nonlocal live, number
        number += 1
        loss, *live = jax.block_until_ready(compiled(number, *live, image, label))
        return float(loss)

    return one


def _updated(
    update: onnx.ModelProto, key: str, number: Any, gradients: Values, parameters: Values, states: Values
) -> Values:
    """The new parameter and states of a tensor; the update is elementwise."""
    feeds: Values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in update.graph.initializer}
    feeds |= {"gradient": gradients[key], "parameters": parameters[key], "step": number}
    feeds |= {"scale": np.float32(1), "learning_rate": np.float32(LEARNING_RATE)}
    return _run(update, feeds | {name: states[name][key] for name in states}, frozenset())


def _run(model: onnx.ModelProto, feeds: Mapping[str, Any], running: frozenset[str]) -> Values:
    """Every value of a graph; the `running` statistics come out renewed as well."""
    from pipeline.bench.rivals.jax_operators import OPERATORS, call_of

    values = dict(feeds)
    for node in model.graph.node:
        inputs = [values[name] if name else None for name in node.input]
        call = call_of(node, inputs)
        if node.op_type == "BatchNormalization":
            results: Any = _normalised(call, *inputs, trains=node.input[3] in running)
            if node.input[3] in running:
                values |= {f"{name} renewed": new for name, new in zip(node.input[3:5], results[1:], strict=True)}
            results = results[:1]
        else:
            results = OPERATORS[node.op_type](call, *inputs)
            results = results if isinstance(results, tuple) else (results,)
        values |= dict(zip(node.output, results, strict=False))
    return values


def _normalised(call: Any, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, trains: bool) -> tuple[Any, ...]:
    """Batch normalisation, and the statistics as the batch renews them."""
    from jax import lax

    axes, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    momentum, epsilon = call.get("momentum", 0.9), call.get("epsilon", 1e-5)
    if trains:
        own = x.mean(axes), x.var(axes)
        renewed = [old * momentum + new * (1 - momentum) for old, new in zip((mean, variance), own, strict=True)]
        mean, variance = own
    else:
        renewed = [mean, variance]
    factor = lax.rsqrt(variance + epsilon) * scale
    return (x - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape), *renewed


def _cross_entropy(logits: Any, label: Any) -> Any:
    import jax

    return -jax.numpy.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1).mean()


def _trained_norms(forward: onnx.ModelProto, trainable: list[str]) -> list[onnx.NodeProto]:
    norms = [node for node in forward.graph.node if node.op_type == "BatchNormalization"]
    return [node for node in norms if node.input[1] in trainable]


def _check(models: list[onnx.ModelProto]) -> None:
    from pipeline.bench.rivals.jax_operators import OPERATORS

    known = {*OPERATORS, "BatchNormalization"}
    lacking = {node.op_type for model in models for node in model.graph.node} - known
    if lacking:
        raise Lacking(f"the bench has no {', '.join(sorted(lacking))} for JAX: pipeline/bench/rivals/jax_operators.py")
