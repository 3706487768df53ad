"""What a model brings along: how its pixels are prepared and how it is trained. Pure data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, get_args

from device_runtime.formats.sample import CLASS, LABELS, VALUES, Target
from pipeline.errors import UsageError
from pipeline.optimizers import Optimizer

# What a user's file imports from here.
__all__ = ["Optimizer", "Preprocessing", "Recipe"]

Loss = Literal[
    "cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "binary_cross_entropy",
    "cosine_embedding",
    "custom",
]
FrozenDtype = Literal["float32", "float16", "int8"]
CategoriesForm = Literal["one_hot", "embedded"]

FROZEN_DTYPES = get_args(FrozenDtype)
CATEGORIES: tuple[CategoriesForm, ...] = get_args(CategoriesForm)
# Those that can be chosen: a loss of its own is a model's.
CUSTOM: Loss = "custom"
LOSSES = tuple(loss for loss in get_args(Loss) if loss != CUSTOM)


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
class Recipe:
    """How a model is trained where the user does not say otherwise.

    Attributes:
      loss: torch's of that name, of cosine embedding for a target of 1. Where a sample is of one class, mean squared
        error and binary cross entropy (with logits) are against one-hot labels. Where targets are values or labels,
        cross entropy stands for mean squared error and for binary cross entropy. With a function `LOSS` beside
        `RECIPE`, of the model's output and the targets, it is `custom`.
      class_weights: of cross entropy, one for each class; of binary cross entropy, that of each label where it holds.
      huber_delta: from which error on the loss `huber` grows in proportion.
      label_smoothing: of cross entropy, the share of each target that is spread over all classes.
      auxiliary: of a torch module with several outputs, the weight of each further one's loss in training, by its
        key in a dictionary, its name or its place: `{"aux": 0.3}`, `{1: 0.3}`. The logits' own loss has the weight 1.
      clip_norm: the largest L2 norm of the gradient of all that trains, to which torch's `clip_grad_norm_` shortens a
        longer one, or None.
      trainable: shell patterns over parameter names; what none of them matches is frozen.
      frozen_dtype: what frozen weights are stored as; computed with is float32, or int8 in a backbone that is int8.
      categories: of a table, what its columns of texts become: a place of its own for each value, 1 where it holds, or
        the value's number, for a layer `Embedding` of the model.
      proximal: whether steps take the weight of FedProx's proximal term, which a fleet gives them.
      recompute: whether activations are computed again in the backward pass instead of kept.
      cycles: training steps.
      report_every: steps between two lines with the loss.
      evaluate_every: steps between two evaluations while training; each leaves a checkpoint when `checkpoints` is set.
      target_accuracy: accuracy on the test split at which training stops, or None.
    """

    preprocessing: Preprocessing
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    huber_delta: float = 1.0
    auxiliary: Mapping[str | int, float] = field(default_factory=dict)
    clip_norm: float | None = None
    trainable: tuple[str, ...] = ("*",)
    frozen_dtype: FrozenDtype = "float32"
    categories: CategoriesForm = "one_hot"
    proximal: bool = False
    recompute: bool = False
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
        _check_kind("auxiliary", self.auxiliary, dict)
        _check_kind("recompute", self.recompute, bool)
        _check_kind("proximal", self.proximal, bool)
        _check_numbers("auxiliary", tuple(self.auxiliary.values()))
        _check_numbers("class_weights", self.class_weights)
        _check_number("huber_delta", self.huber_delta)
        if self.huber_delta <= 0:
            raise _wrong("huber_delta", self.huber_delta, "a number above 0")
        if min(self.class_weights, default=0) < 0:
            raise _wrong("class_weights", self.class_weights, "numbers of at least 0")
        _check_whole("batch_size", self.batch_size, 1)
        _check_whole("cycles", self.cycles, 1)
        _check_whole("report_every", self.report_every, 0)
        _check_whole("evaluate_every", self.evaluate_every, 0)
        _check_number("learning_rate", self.learning_rate)
        if self.learning_rate < 0:
            raise _wrong("learning_rate", self.learning_rate, "a number of at least 0")
        if self.clip_norm is not None:
            _check_number("clip_norm", self.clip_norm)
            if self.clip_norm <= 0:
                raise _wrong("clip_norm", self.clip_norm, "a number above 0")
        if self.target_accuracy is not None:
            _check_number("target_accuracy", self.target_accuracy)
            if not 0 < self.target_accuracy <= 1:
                raise _wrong("target_accuracy", self.target_accuracy, "a number above 0 and at most 1")
        if self.frozen_dtype not in FROZEN_DTYPES:
            raise UsageError(f"--frozen-dtype {self.frozen_dtype}: give one of {', '.join(FROZEN_DTYPES)}")
        if self.categories not in CATEGORIES:
            raise UsageError(f"--categories {self.categories}: give one of {', '.join(CATEGORIES)}")
        if self.loss not in (*LOSSES, CUSTOM):
            raise UsageError(f"unknown loss {self.loss!r}: one of {', '.join(LOSSES)}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"a label smoothing of {self.label_smoothing:g}: give a number from 0 to below 1")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise UsageError(f"label smoothing belongs to the loss cross_entropy, not to {self.loss}: leave it out")


# Of each kind of targets, the losses that they can have; the first is taken where the recipe says cross entropy.
_LOSSES_OF: Mapping[str, tuple[Loss, ...]] = {
    CLASS: ("cross_entropy", "mean_squared_error", "binary_cross_entropy"),
    LABELS: ("binary_cross_entropy", "mean_squared_error"),
    VALUES: ("mean_squared_error", "mean_absolute_error", "huber", "cosine_embedding"),
}


def fitting(recipe: Recipe, target: Target) -> Recipe:
    """The recipe with a loss that such targets have.

    Raises:
      UsageError: they cannot have the one that was chosen, or its weights are not one for each class.
    """
    if recipe.loss == CUSTOM and recipe.auxiliary:
        raise UsageError("a model's own LOSS is given all outputs: leave the recipe's auxiliary out")
    if recipe.loss == CUSTOM:
        known: tuple[Loss, ...] = (CUSTOM,)
    else:
        known = _LOSSES_OF[target.kind] if target.kind != CLASS or not target.shape else ("cross_entropy",)
    loss = known[0] if recipe.loss == "cross_entropy" else recipe.loss
    if loss not in known:
        raise UsageError(f"the targets are {target.text}, which have no loss {loss}: give {' or '.join(known)}")
    if recipe.class_weights and loss not in ("cross_entropy", "binary_cross_entropy"):
        raise UsageError(f"the recipe's class_weights belong to cross entropy, not to {loss}: leave them out")
    if recipe.class_weights and len(recipe.class_weights) != target.count:
        raise UsageError(f"the recipe's class_weights are {len(recipe.class_weights)}, the data has {target.text}")
    return replace(recipe, loss=loss)
