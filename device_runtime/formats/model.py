"""model.json: what the graphs of a model folder take and give, and the recipe's defaults."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError

FORMAT = 1
FILE_NAME = "model.json"


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
class Pixels:
    """One image of the dataset: uint8, height × width × channels."""

    height: int
    width: int
    channels: int


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
      features: shape of one image's features when a frozen backbone stands apart in features.onnx, else None.
      parameters, buffers: the layouts of the flat vectors of what trains and of running statistics.
    """

    name: str
    input: Pixels
    classes: int
    parameters: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]
    optimizer: OptimizerRecord
    features: tuple[int, ...] | None
    recipe: RecipeRecord

    @cached_property
    def digest(self) -> str:
        """SHA-256 of name and layouts: a checkpoint fits a model when it carries the same."""
        content = [self.name, [asdict(t) for t in self.parameters], [asdict(t) for t in self.buffers]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def parameters_size(self) -> int:
        """Elements of the flat vector of parameters."""
        return sum(tensor.size for tensor in self.parameters)

    @property
    def buffers_size(self) -> int:
        """Elements of the flat vector of buffers."""
        return sum(tensor.size for tensor in self.buffers)


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
        record = json.loads(path.read_text())
        if record["format"] != FORMAT:
            raise FormatError(f"{path} has format {record['format']}, this program reads {FORMAT}: package again")
        return _model(record)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; -f takes a model folder or a checkpoint") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is not a model description ({error}): package the model again") from error


def _model(record: Mapping[str, Any]) -> Model:
    optimizer = record["optimizer"]
    return Model(
        name=record["name"],
        input=Pixels(**record["input"]),
        classes=record["classes"],
        parameters=_tensors(record["parameters"]),
        buffers=_tensors(record["buffers"]),
        optimizer=OptimizerRecord(optimizer["name"], optimizer["options"], tuple(optimizer["states"])),
        features=tuple(record["features"]) if record["features"] else None,
        recipe=RecipeRecord(**record["recipe"]),
    )


def _tensors(records: Iterable[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(record["name"], tuple(record["shape"]), record["offset"]) for record in records)
