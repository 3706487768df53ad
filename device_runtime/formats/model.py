"""model.json: what the graphs of a model folder take and give, and the recipe's defaults."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.errors import FormatError
from device_runtime.formats.paths import check_name
from device_runtime.formats.records import LARGEST, parse_object, typed
from device_runtime.formats.sample import Sample, Target, check_sample, check_target

FORMAT = 2
FILE_NAME = "model.json"

_MOST_AXES = 64


@dataclass(frozen=True)
class Tensor:
    """One named tensor inside a flat float32 vector; `offset` counts elements."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class OptimizerRecord:
    """The optimizer that is fused into the train step, and the names of its state vectors, in torch's names."""

    name: str
    options: Mapping[str, float]
    states: tuple[str, ...]


@dataclass(frozen=True)
class RecipeRecord:
    """The runner's defaults; units as in the runner's options of the same names."""

    batch_size: int
    cycles: int
    learning_rate: float
    report_every: int
    evaluate_every: int
    target_accuracy: float | None


@dataclass(frozen=True)
class Model:
    """What model.json says.

    Attributes:
      input: one sample of the dataset.
      target: what it gives for it.
      features: shape of one image's features when a frozen backbone stands apart in features.onnx, else None.
      parameters, buffers: the layouts of the flat vectors of what trains and of running statistics.
      loss: by which the output learns; torch's of that name, or `custom`.
      clip_norm: the largest norm of an update's gradient, or None.
      proximal: whether the steps take FedProx's term: what it draws to, and its weight.
    """

    name: str
    input: Sample
    target: Target
    parameters: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]
    optimizer: OptimizerRecord
    features: tuple[int, ...] | None
    recipe: RecipeRecord
    loss: str
    clip_norm: float | None
    proximal: bool

    @cached_property
    def digest(self) -> str:
        """SHA-256 of name and layouts: a checkpoint fits a model when it carries the same."""
        content = [self.name, [asdict(t) for t in self.parameters], [asdict(t) for t in self.buffers]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def batch_input(self) -> str:
        """What the steps call the images of a batch, or their features."""
        return "features" if self.features else "image"

    @property
    def parameters_size(self) -> int:
        """Elements of the flat vector of parameters."""
        return sum(tensor.size for tensor in self.parameters)

    @property
    def buffers_size(self) -> int:
        """Elements of the flat vector of buffers."""
        return sum(tensor.size for tensor in self.buffers)


def by_name(vector: npt.NDArray[np.float32], tensors: Iterable[Tensor]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a flat vector by name, where they lie in it."""
    return {t.name: vector[t.offset : t.offset + t.size].reshape(t.shape) for t in tensors}


def layout(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> tuple[Tensor, ...]:
    """Lays named tensors one after another in a flat vector."""
    tensors: list[Tensor] = []
    offset = 0
    for name, shape in shapes:
        tensors.append(Tensor(name, shape, offset))
        offset += tensors[-1].size
    return tuple(tensors)


def write_model(folder: Path, model: Model) -> None:
    """Writes model.json into `folder`."""
    record = {"format": FORMAT, "digest": model.digest, **asdict(model)}
    (folder / FILE_NAME).write_text(json.dumps(record, indent=1) + "\n")


def read_model(folder: Path) -> Model:
    """Reads model.json.

    Raises:
      FormatError: it is missing, damaged or of another format.
    """
    path = folder / FILE_NAME
    try:
        record = parse_object(path.read_text("utf-8"))
        if (found := typed(int, record.pop("format"))) != FORMAT:
            raise FormatError(f"{path} has format {found}, this program reads {FORMAT}: package again")
        digest = record.pop("digest")
        model: Model = typed(Model, record)
        _check(model)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; -f takes a model folder or a checkpoint") from error
    except (ValueError, KeyError) as error:
        raise FormatError(f"{path} is not a model description ({error}): package the model again") from error
    if digest != model.digest:
        raise FormatError(f"{path} was changed since it was written: package the model again")
    return model


def _check(model: Model) -> None:
    """Raises ValueError where the numbers cannot be meant, or the name is no name of a file."""
    check_name(model.name)
    all_tensors = (*model.parameters, *model.buffers)
    check_sample(model.input)
    check_target(model.target)
    if max(len(shape) for shape in ((), model.features or (), *(t.shape for t in all_tensors))) > _MOST_AXES:
        raise ValueError("a tensor has more axes than any")
    for tensors in (model.parameters, model.buffers):
        sizes = [size for tensor in tensors for size in tensor.shape]
        # Whatever overlaps, or lies apart, is not as `layout` lays it.
        if min(sizes, default=1) < 0 or tensors != layout((tensor.name, tensor.shape) for tensor in tensors):
            raise ValueError("its tensors do not lie one after another")
    names = [tensor.name for tensor in all_tensors]
    if not model.parameters or len(set(names)) < len(names):
        raise ValueError("nothing trains, or two tensors have one name")
    if max(model.parameters_size, model.buffers_size, math.prod(model.features or ())) > LARGEST:
        raise ValueError("its tensors are beyond 64 bits")
    if min(model.features or (1,)) < 1:
        raise ValueError("the features have no size")
    recipe = model.recipe
    if min(recipe.batch_size - 1, recipe.cycles, recipe.report_every, recipe.evaluate_every) < 0:
        raise ValueError("the recipe counts below zero")
