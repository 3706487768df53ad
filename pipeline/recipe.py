"""What a model brings along: how its pixels are prepared and how it is trained. Pure data, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from pipeline.errors import UsageError
from pipeline.settings import listed

Loss = Literal["cross_entropy", "mean_squared_error", "binary_cross_entropy"]
FrozenDtype = Literal["float32", "float16"]


def _wrong(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"the recipe's {name}={value!r}: give {wanted}")


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise _wrong(name, value, f"a whole number of at least {least}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or not isfinite(value):
        raise _wrong(name, value, "a number")


def _check_numbers(name: str, values: object) -> None:
    if not isinstance(values, (tuple, list)):
        raise _wrong(name, values, "numbers in a tuple")
    for value in values:
        _check_number(name, value)


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise _wrong(name, value, f"a value of type {kind.__name__}")


@dataclass(frozen=True)
class Preprocessing:
    """From raw pixels to the model's input: `(pixel × scale − mean) / std` per channel, then a bilinear resize.

    Attributes:
      height, width: what the model takes, in pixels.
      mean, std: one number for all channels or one per channel, in units of `pixel × scale`.
    """

    height: int
    width: int
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        _check_whole("height", self.height, 1)
        _check_whole("width", self.width, 1)
        _check_number("scale", self.scale)
        _check_numbers("mean", self.mean)
        _check_numbers("std", self.std)
        if 0 in self.std:
            raise _wrong("std", self.std, "numbers other than 0")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by torch's name for it, with torch's options and defaults.

    Attributes:
      name: adam, adamw, sgd or rmsprop.
      options: pairs of option and value that differ from the defaults of `OPTIMIZER_OPTIONS`.
    """

    name: str = "adam"
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZER_OPTIONS:
            raise UsageError(f"unknown optimizer {self.name!r}: one of {', '.join(OPTIMIZER_OPTIONS)}")
        known = OPTIMIZER_OPTIONS[self.name]
        for option, value in self.options:
            if option not in known:
                raise UsageError(f"the optimizer {self.name} has no option {option!r}: it has {', '.join(known)}")
            _check_option(option, value)
        values = self.values()
        if values.get("nesterov") and not (values["momentum"] and not values["dampening"]):
            raise UsageError("nesterov=1 takes momentum above 0 and no dampening")

    def values(self) -> dict[str, float]:
        """Every option of this optimizer with its value."""
        return {**OPTIMIZER_OPTIONS[self.name], **dict(self.options)}


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


OPTIMIZER_OPTIONS: dict[str, dict[str, float]] = {
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    "sgd": {"momentum": 0.0, "dampening": 0.0, "nesterov": 0.0, "weight_decay": 0.0},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": 0.0, "weight_decay": 0.0},
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained where the user does not say otherwise.

    Attributes:
      loss: torch's of that name; mean squared error and binary cross entropy (with logits) against one-hot labels.
      label_smoothing: of cross entropy, the share of each target that is spread over all classes.
      trainable: shell patterns over parameter names; what none of them matches is frozen.
      frozen_dtype: what frozen weights are stored as; computed with is float32.
      cycles: training steps.
      report_every: steps between two lines with the loss.
      evaluate_every: steps between two evaluations while training; each leaves a checkpoint when `checkpoints` is set.
      target_accuracy: accuracy on the test split at which training stops, or None.
    """

    preprocessing: Preprocessing
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.0
    trainable: tuple[str, ...] = ("*",)
    frozen_dtype: FrozenDtype = "float32"
    batch_size: int = 32
    cycles: int = 1000
    learning_rate: float = 1e-3
    report_every: int = 100
    evaluate_every: int = 0
    target_accuracy: float | None = None

    def __post_init__(self) -> None:
        _check_kind("preprocessing", self.preprocessing, Preprocessing)
        _check_kind("optimizer", self.optimizer, Optimizer)
        # A single text would be taken letter by letter, and * matches everything.
        _check_kind("trainable", self.trainable, tuple)
        _check_whole("batch_size", self.batch_size, 1)
        _check_whole("cycles", self.cycles, 1)
        _check_whole("report_every", self.report_every, 0)
        _check_whole("evaluate_every", self.evaluate_every, 0)
        _check_number("learning_rate", self.learning_rate)
        if self.learning_rate < 0:
            raise _wrong("learning_rate", self.learning_rate, "a number of at least 0")
        if self.target_accuracy is not None:
            _check_number("target_accuracy", self.target_accuracy)
            if not 0 < self.target_accuracy <= 1:
                raise _wrong("target_accuracy", self.target_accuracy, "a number above 0 and at most 1")
        if self.frozen_dtype not in get_args(FrozenDtype):
            raise UsageError(f"--frozen-dtype {self.frozen_dtype}: give one of {', '.join(get_args(FrozenDtype))}")
        if self.loss not in get_args(Loss):
            raise UsageError(f"unknown loss {self.loss!r}: one of {', '.join(get_args(Loss))}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"a label smoothing of {self.label_smoothing:g}: give a number from 0 to below 1")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise UsageError(f"label smoothing belongs to the loss cross_entropy, not to {self.loss}: leave it out")
