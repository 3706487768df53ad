"""Checkpoints: safetensors files with parameters under their names, optimizer state, the step and the training's plan.

Tensor names: a parameter's or buffer's own; optimizer state as `optimizer.<state>.<parameter>`. A digest of it all is
in the metadata: bits that flipped on a disk would be weights as good as others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model, Tensor, by_name
from device_runtime.formats.records import LARGEST, parse_object
from device_runtime.formats.whole_file import whole_file

FORMAT = "2"
SUFFIX = ".safetensors"

# As safetensors calls them.
_DTYPES = {"float32": "F32", "float16": "F16"}

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


def write_checkpoint(path: Path, checkpoint: Checkpoint, model: Model, dtype: str = "float32") -> None:
    """Writes a checkpoint: `path` is never half-written, and on disk when this returns.

    Args:
      path: the file.
      checkpoint: what to write; in float16 without its optimizer's state.
      model: that it is of.
      dtype: float32, or float16, to whose nearest numbers all are rounded.

    Raises:
      FormatError: the disk is full or the folder cannot be written to, or a number is beyond float16.
    """
    if dtype != "float32":
        checkpoint = _rounded(checkpoint, dtype)
    tensors = _tensors(checkpoint, model)
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
        with whole_file(path) as temporary, temporary.open("wb") as file:
            _write(file, metadata, tensors, np.dtype(dtype))
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error}; is the disk full or read-only?") from error


def _rounded(checkpoint: Checkpoint, dtype: str) -> Checkpoint:
    """A checkpoint's parameters and buffers as the type leaves them, of which its digest is then."""
    with np.errstate(over="ignore"):
        vectors = [v.astype(dtype).astype(np.float32) for v in (checkpoint.parameters, checkpoint.buffers)]
    if not all(np.isfinite(vector).all() for vector in vectors):
        raise FormatError(f"a number of the model is beyond {dtype}: leave out --compress")
    return replace(checkpoint, parameters=vectors[0], buffers=vectors[1], states={})


def _write(file: BinaryIO, metadata: Mapping[str, str], tensors: Mapping[str, Vector], dtype: np.dtype[Any]) -> None:
    """A safetensors file, tensor by tensor, where the library would hold all of it a second time.

    The same content is the same bytes, which the library's order of metadata is not.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    start = 0
    for name, tensor in sorted(tensors.items()):
        end = start + tensor.size * dtype.itemsize
        header[name] = {"dtype": _DTYPES[dtype.name], "shape": tensor.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Numbers begin at a multiple of their size.
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for _, tensor in sorted(tensors.items()):
        file.write(np.ascontiguousarray(tensor, dtype).data)


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
            names = sorted(file.keys())
            states = [s for s in model.optimizer.states if f"optimizer.{s}.{model.parameters[0].name}" in names]
            found = Checkpoint(
                step=_step(metadata["step"]),
                parameters=_empty(model.parameters),
                buffers=_empty(model.buffers),
                states={state: _empty(model.parameters) for state in states},
                optimizer=metadata["optimizer"],
                run=Run(metadata["run"], metadata["package"], parse_object(metadata["plan"])),
            )
        with path.open("rb") as opened:
            may_be_half = {tensor.name for tensor in (*model.parameters, *model.buffers)}
            _read_into(opened, names, _tensors(found, model), may_be_half)
        if metadata["content"] != _content(metadata, _tensors(found, model)):
            raise FormatError(f"{path} is damaged, its content is not what its digest says: pull or save it again")
        return found
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


def _tensors(checkpoint: Checkpoint, model: Model) -> dict[str, Vector]:
    """The tensors of a checkpoint by their names in the file, where they lie in its vectors."""
    tensors = by_name(checkpoint.parameters, model.parameters) | by_name(checkpoint.buffers, model.buffers)
    for state, vector in checkpoint.states.items():
        named = by_name(vector, model.parameters)
        tensors |= {f"optimizer.{state}.{name}": tensor for name, tensor in named.items()}
    return tensors


def _content(metadata: Mapping[str, str], tensors: Mapping[str, Vector]) -> str:
    """SHA-256 over the rest of the metadata and all tensors."""
    described = {name: text for name, text in metadata.items() if name != "content"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.shape} {tensor.dtype}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _empty(tensors: Sequence[Tensor]) -> Vector:
    return np.empty(sum(tensor.size for tensor in tensors), np.float32)


def _read_into(
    file: BufferedReader, names: Collection[str], wanted: Mapping[str, Vector], may_be_half: Collection[str]
) -> None:
    """Reads each tensor to where it is wanted, from a file whose header the library has found right.

    The library itself maps the file, and every tensor would be in memory twice.
    """
    header = parse_object(file.read(int.from_bytes(file.read(8), "little")).decode())
    start = file.tell()
    for name in names:
        entry = header[name]
        # A single number would be spread over the whole tensor.
        is_half = entry["dtype"] == _DTYPES["float16"] and name in may_be_half
        known = is_half or entry["dtype"] == _DTYPES["float32"]
        if name not in wanted or not known or tuple(entry["shape"]) != wanted[name].shape:
            raise ValueError(f"{name} is not what this model has under that name")
        file.seek(start + entry["data_offsets"][0])
        if is_half:
            halves = np.frombuffer(file.read(2 * wanted[name].size), np.float16)
            wanted[name][...] = halves.reshape(wanted[name].shape)
        else:
            file.readinto(wanted[name].data)
    if missing := set(wanted).difference(names):
        raise ValueError(f"{missing.pop()} is missing")


def _step(text: str) -> int:
    step = int(text)
    if not 0 <= step <= LARGEST // 2:
        raise ValueError(f"step {text} is no number of updates")
    return step
