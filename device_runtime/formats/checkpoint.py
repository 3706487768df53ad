"""Checkpoints: safetensors files with parameters under their names, optimizer state, the step and the training's plan.

Tensor names: a parameter's or buffer's own; optimizer state as `optimizer.<state>.<parameter>`. A digest of it all is
in the metadata: bits that flipped on a disk would be weights as good as others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model, Tensor
from device_runtime.formats.records import LARGEST, parse_object
from device_runtime.formats.whole_file import whole_file

FORMAT = "2"
SUFFIX = ".safetensors"

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """The training that a checkpoint is of.

    Attributes:
      id: tells one training from another; empty for none.
      package: digest of the model and the dataset that it was started with; empty where the package has no manifest.
      plan: what was asked for, in the names of the runner's `Plan`.
    """

    id: str = ""
    package: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
      step: number of updates made; 0 is the untrained model.
      parameters, buffers: flat float32 vectors in the layout of the model.
      states: the optimizer's flat vectors by name; empty when `step` is 0.
      run: the training that it is of.
      optimizer: name of the optimizer that trained it, as the file says; a new one is written with its model's.
    """

    step: int
    parameters: Vector
    buffers: Vector
    states: Mapping[str, Vector]
    run: Run = field(default_factory=Run)
    optimizer: str = ""


def trained_name(model: Model, step: int) -> str:
    """File name of a checkpoint after `step` updates."""
    return f"{model.name}_trained_{step}{SUFFIX}"


def untrained_name(model: Model) -> str:
    """File name of the checkpoint that training starts from."""
    return f"{model.name}_untrained{SUFFIX}"


def write_checkpoint(path: Path, checkpoint: Checkpoint, model: Model) -> None:
    """Writes a checkpoint: `path` is never half-written, and on disk when this returns.

    Raises:
      FormatError: the disk is full or the folder cannot be written to.
    """
    tensors = _named(checkpoint.parameters, model.parameters) | _named(checkpoint.buffers, model.buffers)
    for state, vector in checkpoint.states.items():
        tensors |= _named(vector, model.parameters, f"optimizer.{state}.")
    metadata = {
        "format": FORMAT,
        "model": model.name,
        "digest": model.digest,
        "optimizer": model.optimizer.name,
        "step": str(checkpoint.step),
        "run": checkpoint.run.id,
        "package": checkpoint.run.package,
        "plan": json.dumps(checkpoint.run.plan),
    }
    metadata["content"] = _content(metadata, tensors)
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata)
            _sort_metadata(temporary)
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{path} cannot be written: {error}; is the disk full or read-only?") from error


def _sort_metadata(path: Path) -> None:
    """The library writes metadata in another order each time; the same content is to be the same bytes."""
    with path.open("r+b") as file:
        size_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size_bytes))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        # As the library writes it, it is as long in any order.
        if len(text) <= size_bytes:
            file.seek(8)
            file.write(text.ljust(size_bytes))


def read_checkpoint(path: Path, model: Model) -> Checkpoint:
    """Reads a checkpoint of `model`.

    Raises:
      FormatError: the file is missing, cut short, damaged, no checkpoint, or one of another model.
    """
    if not path.is_file():
        raise FormatError(f"the checkpoint {path} does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, model)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if metadata["content"] != _content(metadata, tensors):
            raise FormatError(f"{path} is damaged, its content is not what its digest says: pull or save it again")
        states = [s for s in model.optimizer.states if f"optimizer.{s}.{model.parameters[0].name}" in tensors]
        return Checkpoint(
            step=_step(metadata["step"]),
            parameters=_flat(tensors, model.parameters),
            buffers=_flat(tensors, model.buffers),
            states={state: _flat(tensors, model.parameters, f"optimizer.{state}.") for state in states},
            optimizer=metadata["optimizer"],
            run=Run(metadata["run"], metadata["package"], parse_object(metadata["plan"])),
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"{path} is not a whole checkpoint ({error}): pull or save it again") from error


def _check_metadata(path: Path, metadata: Mapping[str, str], model: Model) -> None:
    if metadata.get("format") != FORMAT:
        raise FormatError(
            f"{path} has format {metadata.get('format')}, this program reads checkpoints of {FORMAT}: train again"
        )
    if metadata.get("digest") != model.digest:
        raise FormatError(
            f"{path} is a checkpoint of another model ({metadata.get('model')}); this package holds {model.name}: "
            "give -f a checkpoint that was trained from this package"
        )


def _content(metadata: Mapping[str, str], tensors: Mapping[str, Vector]) -> str:
    """SHA-256 over the rest of the metadata and all tensors."""
    described = {name: text for name, text in metadata.items() if name != "content"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.shape} {tensor.dtype}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _named(vector: Vector, tensors: Iterable[Tensor], prefix: str = "") -> dict[str, Vector]:
    return {f"{prefix}{t.name}": vector[t.offset : t.offset + t.size].reshape(t.shape) for t in tensors}


def _flat(tensors: Mapping[str, Vector], wanted: Sequence[Tensor], prefix: str = "") -> Vector:
    vector = np.empty(sum(tensor.size for tensor in wanted), np.float32)
    for tensor in wanted:
        values = tensors[f"{prefix}{tensor.name}"]
        # A single number would be spread over the whole tensor.
        if values.shape != tensor.shape or values.dtype != np.float32:
            raise ValueError(f"{prefix}{tensor.name} is not float32 of shape {tensor.shape}")
        vector[tensor.offset : tensor.offset + tensor.size] = values.ravel()
    return vector


def _step(text: str) -> int:
    step = int(text)
    if not 0 <= step <= LARGEST // 2:
        raise ValueError(f"step {text} is no number of updates")
    return step
