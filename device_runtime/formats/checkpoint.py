"""Checkpoints: safetensors files with parameters under their names, optimizer state and the step.

Tensor names: a parameter's or buffer's own; optimizer state as `optimizer.<state>.<parameter>`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model, Tensor

FORMAT = "1"

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
      step: number of updates made; 0 is the untrained model.
      seed: what the order of the batches was drawn from.
      parameters, buffers: flat float32 vectors in the layout of the model.
      states: the optimizer's flat vectors by name; empty when `step` is 0.
    """

    step: int
    seed: int
    parameters: Vector
    buffers: Vector
    states: Mapping[str, Vector]


def trained_name(model: Model, step: int) -> str:
    """File name of a checkpoint after `step` updates."""
    return f"{model.name}_trained_{step}.safetensors"


def untrained_name(model: Model) -> str:
    """File name of the checkpoint that training starts from."""
    return f"{model.name}_untrained.safetensors"


def write_checkpoint(path: Path, checkpoint: Checkpoint, model: Model) -> None:
    """Writes a checkpoint: under a temporary name first, so that `path` is never half-written.

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
        "seed": str(checkpoint.seed),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{path} cannot be written: {error}; is the disk full or read-only?") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path, model: Model) -> Checkpoint:
    """Reads a checkpoint of `model`.

    Raises:
      FormatError: the file is missing, cut short, no checkpoint, or one of another model.
    """
    if not path.is_file():
        raise FormatError(f"the checkpoint {path} does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, model)
            names = set(file.keys())
            states = tuple(s for s in model.optimizer.states if f"optimizer.{s}.{model.parameters[0].name}" in names)
            return Checkpoint(
                step=int(metadata["step"]),
                seed=int(metadata["seed"]),
                parameters=_flat(file, model.parameters),
                buffers=_flat(file, model.buffers),
                states={state: _flat(file, model.parameters, f"optimizer.{state}.") for state in states},
            )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise FormatError(f"{path} is not a whole checkpoint ({error}): pull or save it again") from error


def _check_metadata(path: Path, metadata: Mapping[str, str], model: Model) -> None:
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is not a checkpoint of train-on-device (format {metadata.get('format')})")
    if metadata.get("digest") != model.digest:
        raise FormatError(
            f"{path} is a checkpoint of another model ({metadata.get('model')}); this package holds {model.name}: "
            "give -f a checkpoint that was trained from this package"
        )


def _named(vector: Vector, tensors: Iterable[Tensor], prefix: str = "") -> dict[str, Vector]:
    return {f"{prefix}{t.name}": vector[t.offset : t.offset + t.size].reshape(t.shape) for t in tensors}


def _flat(file: safe_open, tensors: tuple[Tensor, ...], prefix: str = "") -> Vector:
    vector = np.empty(sum(tensor.size for tensor in tensors), np.float32)
    for tensor in tensors:
        values: Vector = file.get_tensor(f"{prefix}{tensor.name}")  # type: ignore[no-untyped-call]
        vector[tensor.offset : tensor.offset + tensor.size] = values.ravel()
    return vector
