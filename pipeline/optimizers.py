"""Optimizers: options, state and update of each, a function that says it all.

An update is a handful of nodes over flat vectors: all parameters are one vector, each moment another. The rules are
those of torch.optim, in its notation; `step` counts from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.options import listed

if TYPE_CHECKING:
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


# Elements of which the norm is taken at once.
_ROW = 1024

Options = Mapping[str, float]
States = Callable[[Options], tuple[str, ...]]
Write = Callable[[Update, "Graph"], "tuple[Value, dict[str, Value]]"]


@dataclass(frozen=True)
class Rule:
    """What an optimizer is.

    Attributes:
      options: torch's names of its options, with torch's defaults.
      states: for some options, the state vectors that it keeps, by torch's names, in the order of the graph's inputs.
      write: writes the nodes of one update; returns the new parameters and the new states by name.
    """

    options: Options
    states: States
    write: Write


RULES: dict[str, Rule] = {}


def optimizer(states: States, **options: float) -> Callable[[Write], Write]:
    """A decorator that makes of a function that writes an update the optimizer of its name; see `Rule`."""

    def register(write: Write) -> Write:
        RULES[write.__name__] = Rule(options, states, write)
        return write

    return register


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by torch's name for it, with torch's options and defaults.

    Attributes:
      name: that of a function below, such as adam.
      options: pairs of option and value that differ from torch's defaults.
    """

    name: str = "adam"
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise UsageError(f"unknown optimizer {self.name!r}: one of {', '.join(RULES)}")
        known = RULES[self.name].options
        for option, value in self.options:
            if option not in known:
                raise UsageError(f"the optimizer {self.name} has no option {option!r}: it has {', '.join(known)}")
            _check_option(option, value)
        values = self.values()
        if values.get("nesterov") and not (values["momentum"] and not values["dampening"]):
            raise UsageError("nesterov=1 takes momentum above 0 and no dampening")

    def values(self) -> dict[str, float]:
        """Every option of this optimizer with its value."""
        return {**RULES[self.name].options, **dict(self.options)}

    def states(self) -> tuple[str, ...]:
        """The state vectors that it keeps, by torch's names, in the order of the graph's inputs."""
        return RULES[self.name].states(self.values())

    def write(self, update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
        """Writes the nodes of one update; returns the new parameters and the new states by name."""
        return RULES[self.name].write(update, g)


def _check_option(option: str, value: float) -> None:
    """Refuses what torch's optimizers refuse, and what no training survives."""
    if option in ("nesterov", "centered"):
        fits, wanted = value in (0, 1), "0 or 1"
    elif option in ("beta1", "beta2", "alpha"):
        fits, wanted = 0 <= value < 1, "a number from 0 to below 1"
    else:
        fits, wanted = 0 <= value < float("inf"), "a number of at least 0"
    if not fits:
        raise UsageError(f"the optimizer's {option}={value:g}: give {wanted}")


def parse_optimizer(text: str) -> Optimizer:
    """Reads `--optimizer`: a name, and options behind it, such as `sgd,momentum=0.9,nesterov=1`.

    Raises:
      UsageError: the optimizer or an option of it is unknown, or a value is no number.
    """
    name, *pairs = listed(text)
    options: list[tuple[str, float]] = []
    for pair in pairs:
        option, _, value = pair.partition("=")
        try:
            options.append((option, float(value)))
        except ValueError:
            raise UsageError(f"--optimizer {text}: {pair!r} is not OPTION=NUMBER") from None
    return Optimizer(name, tuple(options))


def written(optimizer: Optimizer) -> str:
    """An optimizer as `--optimizer` takes it."""
    return ",".join((optimizer.name, *(f"{option}={value:g}" for option, value in optimizer.options)))


def _moments(options: Options) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq")


def _momentum(options: Options) -> tuple[str, ...]:
    return ("momentum_buffer",) if options["momentum"] else ()


def _averages(options: Options) -> tuple[str, ...]:
    return ("square_avg", *(("grad_avg",) if options["centered"] else ()), *_momentum(options))


@optimizer(_moments, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0)
def adam(update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
    """torch.optim.Adam: weight decay is added to the gradient. Kingma and Ba, arXiv:1412.6980."""
    return _adam(update, _with_weight_decay(update, g), update.parameters, g)


@optimizer(_moments, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01)
def adamw(update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
    """torch.optim.AdamW: weight decay shrinks the parameters directly. Loshchilov and Hutter, arXiv:1711.05101."""
    parameters = update.parameters
    if update.options["weight_decay"]:
        shrink = g.op("Mul", update.learning_rate, g.floats(update.options["weight_decay"]))
        parameters = g.op("Mul", parameters, g.op("Sub", g.floats(1.0), shrink))
    return _adam(update, update.gradient, parameters, g)


@optimizer(_momentum, momentum=0.0, dampening=0.0, nesterov=0.0, weight_decay=0.0)
def sgd(update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
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


@optimizer(_averages, alpha=0.99, eps=1e-8, momentum=0.0, centered=0.0, weight_decay=0.0)
def rmsprop(update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
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


def clipped(gradient: Value, max_norm: float, g: Graph) -> Value:
    """torch.nn.utils.clip_grad_norm_ over all parameters: × min(1, max_norm / (norm + 1e-6)).

    Args:
      gradient: float32 vector, the gradient of all parameters.
      max_norm: above 0.
      g: takes the nodes.
    """
    share = g.op("Div", g.floats(max_norm), g.op("Add", norm_of(gradient, g), g.floats(1e-6)))
    return g.op("Mul", gradient, g.op("Min", share, g.floats(1.0)))


def norm_of(vector: Value, g: Graph) -> Value:
    """The L2 norm of a float32 vector of any length."""
    # In rows: the runtime adds float32 up one after another, and of 5 million squares the fourth digit would be wrong.
    size = g.op("Shape", vector)
    rest = g.op("Mod", g.op("Neg", size), g.ints([_ROW]))
    padded = g.op("Pad", vector, g.op("Concat", g.ints([0]), rest, axis=0))
    return g.op("ReduceL2", g.op("ReduceL2", g.reshape(padded, ("rows", _ROW)), axes=[1], keepdims=0), keepdims=0)


def _adam(update: Update, gradient: Value, parameters: Value, g: Graph) -> tuple[Value, dict[str, Value]]:
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
    import numpy as np
    from onnx import TensorProto

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
