"""The loss of a recipe, as torch has it, and the logits among what a module gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, arange, float32, int64, tensor, zeros
from torch.nn import functional

from device_runtime.formats.sample import CLASS, Target
from pipeline.errors import ModelError
from pipeline.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]
# Of what a module gives, whatever its form, and the labels.
LossOfOutput = Callable[[Any, Tensor], Tensor]


def loss_of(recipe: Recipe, target: Target) -> Loss:
    """The recipe's loss of outputs and targets, torch's of that name; what it is of more than a batch is the mean.

    Of one class for a sample, squared errors and binary cross entropy are taken against one-hot labels.
    """
    weights = tensor(recipe.class_weights) if recipe.class_weights else None
    # Torch's own, which is no class.
    ignored = -100 if target.ignore is None else target.ignore

    def targets(output: Tensor, label: Tensor) -> Tensor:
        return _one_hot(output, label, target.count) if target.is_one_class else label

    def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits, label, weights, ignore_index=ignored, label_smoothing=recipe.label_smoothing
        )

    def mean_squared_error(output: Tensor, label: Tensor) -> Tensor:
        return functional.mse_loss(output, targets(output, label))

    def mean_absolute_error(output: Tensor, label: Tensor) -> Tensor:
        return functional.l1_loss(output, label)

    def huber(output: Tensor, label: Tensor) -> Tensor:
        return functional.huber_loss(output, label, delta=recipe.huber_delta)

    def binary_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, targets(logits, label), pos_weight=weights)

    def cosine_embedding(output: Tensor, label: Tensor) -> Tensor:
        return (1 - functional.cosine_similarity(output, label)).mean()

    losses = (cross_entropy, mean_squared_error, mean_absolute_error, huber, binary_cross_entropy, cosine_embedding)
    return {loss.__name__: loss for loss in losses}[recipe.loss]


def evaluation_loss_of(recipe: Recipe, target: Target, own: LossOfOutput | None) -> LossOfOutput:
    """The loss of the logits alone, or the model's own."""
    if own:
        return own
    loss = loss_of(recipe, target)
    return lambda output, label: loss(logits_of(output), label)


def training_loss_of(recipe: Recipe, target: Target, own: LossOfOutput | None) -> LossOfOutput:
    """The loss of the logits, and those of other outputs as the recipe weighs them; or the model's own."""
    if own:
        return own
    loss = loss_of(recipe, target)

    def total(output: Any, label: Tensor) -> Tensor:
        value = loss(logits_of(output), label)
        for name, weight in recipe.auxiliary.items():
            value = value + weight * loss(auxiliary_of(output, name), label)
        return value

    return total


def example_of(target: Target, count: int) -> Tensor:
    """Targets of so many samples, all 0."""
    return zeros(count, *target.shape, dtype=int64 if target.kind == CLASS else float32)


def _one_hot(logits: Tensor, label: Tensor, classes: int) -> Tensor:
    return (label.unsqueeze(1) == arange(classes)).to(logits.dtype)


def auxiliary_of(output: Any, name: str | int) -> Tensor:
    """One of several outputs: by its key, its name or its place.

    Raises:
      ModelError: there is none.
    """
    found: Any = None
    if isinstance(name, int):
        found = output[name] if isinstance(output, (tuple, list)) and -len(output) <= name < len(output) else None
    else:
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
    if not isinstance(found, Tensor):
        raise ModelError(
            f"the recipe's auxiliary={{{name!r}: …}}: in training the model gives no output {name!r}, but "
            f"{_outputs_of(output)}"
        )
    return found


def _outputs_of(output: Any) -> str:
    if isinstance(output, Mapping):
        return ", ".join(map(repr, output))
    if isinstance(output, (tuple, list)):
        return f"{len(output)} outputs, from 0"
    return f"one {type(output).__name__}"


def logits_of(output: Any) -> Tensor:
    """Of several outputs the logits: `logits` of a dictionary, the first of a tuple.

    Raises:
      ModelError: there are none.
    """
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise ModelError(
            f"the model gives {type(output).__name__}: it has to give logits, a tuple that begins with them, or a "
            "dictionary with `logits`"
        )
    return output
