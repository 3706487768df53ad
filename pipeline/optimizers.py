"""Optimizers as a handful of nodes over flat vectors: all parameters are one vector, each moment another.

The update rules are those of torch.optim, in its notation; `step` counts from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from pipeline.graphs.graph import Graph, Value


@dataclass(frozen=True)
class Update:
    """One update: values in, and the new parameters and states out.

    Attributes:
      parameters, gradient: float32 vectors of length P.
      learning_rate: float32 scalar.
      step: int64 scalar, number of this update from 1.
      states: the state vectors by torch's names.
      options: the optimizer's options by name.
    """

    parameters: Value
    gradient: Value
    learning_rate: Value
    step: Value
    states: Mapping[str, Value]
    options: Mapping[str, float]


Written = tuple[Value, dict[str, Value]]


def state_names(name: str, options: Mapping[str, float]) -> tuple[str, ...]:
    """The state vectors that an optimizer keeps, by torch's names, in the order of the graph's inputs."""
    if name in ("adam", "adamw"):
        return ("exp_avg", "exp_avg_sq")
    momentum = ("momentum_buffer",) if options["momentum"] else ()
    if name == "sgd":
        return momentum
    return ("square_avg", *(("grad_avg",) if options["centered"] else ()), *momentum)


def write_update(name: str, update: Update, g: Graph) -> Written:
    """Writes the nodes of one update; returns the new parameters and the new states by name."""
    return _WRITERS[name](update, g)


def adam(update: Update, g: Graph) -> Written:
    """torch.optim.Adam: weight decay is added to the gradient. Kingma and Ba, arXiv:1412.6980."""
    return _adam(update, _with_weight_decay(update, g), update.parameters, g)


def adamw(update: Update, g: Graph) -> Written:
    """torch.optim.AdamW: weight decay shrinks the parameters directly. Loshchilov and Hutter, arXiv:1711.05101."""
    parameters = update.parameters
    if update.options["weight_decay"]:
        shrink = g.op("Mul", update.learning_rate, g.floats(update.options["weight_decay"]))
        parameters = g.op("Mul", parameters, g.op("Sub", g.floats(1.0), shrink))
    return _adam(update, update.gradient, parameters, g)


def sgd(update: Update, g: Graph) -> Written:
    """torch.optim.SGD: momentum, dampening, Nesterov, weight decay; the first step's buffer is the gradient itself."""
    gradient = _with_weight_decay(update, g)
    momentum = update.options["momentum"]
    if not momentum:
        return _descend(update.parameters, gradient, update.learning_rate, g), {}
    damped = gradient
    if update.options["dampening"]:
        is_first = g.op("Equal", update.step, g.ints(1))
        share = g.op("Where", is_first, g.floats(1.0), g.floats(1.0 - update.options["dampening"]))
        damped = g.op("Mul", gradient, share)
    # The buffer starts at 0, so that the first step's momentum × buffer adds nothing.
    buffer = g.op("Add", _scaled(g, update.states["momentum_buffer"], momentum), damped)
    direction = g.op("Add", gradient, _scaled(g, buffer, momentum)) if update.options["nesterov"] else buffer
    return _descend(update.parameters, direction, update.learning_rate, g), {"momentum_buffer": buffer}


def rmsprop(update: Update, g: Graph) -> Written:
    """torch.optim.RMSprop: alpha, eps, momentum, centered, weight decay. Hinton, lecture 6e; arXiv:1308.0850."""
    options = update.options
    gradient = _with_weight_decay(update, g)
    square_avg = g.blend(update.states["square_avg"], g.op("Mul", gradient, gradient), options["alpha"])
    states = {"square_avg": square_avg}
    variance = square_avg
    if options["centered"]:
        states["grad_avg"] = g.blend(update.states["grad_avg"], gradient, options["alpha"])
        variance = g.op("Sub", square_avg, g.op("Mul", states["grad_avg"], states["grad_avg"]))
    direction = g.op("Div", gradient, g.op("Add", g.op("Sqrt", variance), g.floats(options["eps"])))
    if options["momentum"]:
        kept = _scaled(g, update.states["momentum_buffer"], options["momentum"])
        direction = states["momentum_buffer"] = g.op("Add", kept, direction)
    return _descend(update.parameters, direction, update.learning_rate, g), states


_WRITERS: dict[str, Callable[[Update, Graph], Written]] = {
    "adam": adam,
    "adamw": adamw,
    "sgd": sgd,
    "rmsprop": rmsprop,
}


def _adam(update: Update, gradient: Value, parameters: Value, g: Graph) -> Written:
    beta1, beta2, eps = (update.options[name] for name in ("beta1", "beta2", "eps"))
    exp_avg = g.blend(update.states["exp_avg"], gradient, beta1)
    exp_avg_sq = g.blend(update.states["exp_avg_sq"], g.op("Mul", gradient, gradient), beta2)
    correction1 = _bias_correction(beta1, update.step, g)
    correction2 = g.op("Sqrt", _bias_correction(beta2, update.step, g))
    # torch: denominator = √v / √correction2 + eps. Multiplied through by √correction2, which is a scalar, it saves a
    # division over the whole vector.
    denominator = g.op("Add", g.op("Sqrt", exp_avg_sq), g.op("Mul", g.floats(eps), correction2))
    step_size = g.op("Div", g.op("Mul", update.learning_rate, correction2), correction1)
    new = _descend(parameters, g.op("Div", exp_avg, denominator), step_size, g)
    return new, {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}


def _bias_correction(beta: float, step: Value, g: Graph) -> Value:
    """1 − beta^step, in float64 as in torch: float32 loses four digits of it where beta is near 1."""
    power = g.op("Pow", g.constant(beta, np.float64), g.op("Cast", step, to=TensorProto.DOUBLE))
    return g.op("Cast", g.op("Sub", g.constant(1.0, np.float64), power), to=TensorProto.FLOAT)


def _with_weight_decay(update: Update, g: Graph) -> Value:
    if not update.options["weight_decay"]:
        return update.gradient
    return g.op("Add", update.gradient, _scaled(g, update.parameters, update.options["weight_decay"]))


def _scaled(g: Graph, value: Value, factor: float) -> Value:
    return g.op("Mul", value, g.floats(factor))


def _descend(parameters: Value, direction: Value, step_size: Value, g: Graph) -> Value:
    return g.op("Sub", parameters, g.op("Mul", direction, step_size))
