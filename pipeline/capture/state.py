"""A torch module's state dict beside its export, in which the trained values can be put back.

Writes state.safetensors: every entry of `module.state_dict()` under its name; read when results are collected. Buffers
that are no part of it stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pipeline.graphs.stored import SMALLEST_BYTES, Place, place_of, stored_at

if TYPE_CHECKING:
    import onnx
    import torch

FILE_NAME = "state.safetensors"
# Buffers that no state dict has (`persistent=False`).
PASSING = "passing.safetensors"

# Types of safetensors that ONNX has too, by the latter's names.
_KINDS = {
    "F64": "DOUBLE",
    "F32": "FLOAT",
    "F16": "FLOAT16",
    "I64": "INT64",
    "I32": "INT32",
    "U8": "UINT8",
    "BOOL": "BOOL",
}


def tied_weights(module: torch.nn.Module) -> dict[str, str]:
    """Of entries of the state dict that are one tensor, the name of each but the first, and the first's."""
    first: dict[int, str] = {}
    entries = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    return {name: own for name, tensor in entries if (own := first.setdefault(id(tensor), name)) != name}


def write_state(state: Mapping[str, torch.Tensor], aliases: Mapping[str, str], folder: Path) -> None:
    """Writes a state dict.

    Args:
      state: the module's entries by name.
      aliases: of entries that are one tensor (tied weights), the name under which the tensor trains.
      folder: takes the file.
    """
    from safetensors.torch import save_file

    save_file({name: value.contiguous().clone() for name, value in state.items()}, folder / FILE_NAME, dict(aliases))


def write_passing(module: torch.nn.Module, folder: Path) -> None:
    """Writes the buffers that the state dict leaves out, if there are any."""
    from safetensors.torch import save_file

    saved = module.state_dict().keys()
    passing = {name: value.contiguous().clone() for name, value in module.named_buffers() if name not in saved}
    if passing:
        save_file(passing, folder / PASSING)


def tensors_in(file: Path) -> dict[str, onnx.TensorProto]:
    """The tensors of a safetensors file by name, of which each is read when it is needed (`graphs/stored.py`)."""
    from onnx import TensorProto

    with file.open("rb") as opened:
        size_bytes = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size_bytes))
    tensors: dict[str, TensorProto] = {}
    for name, entry in header.items():
        if entry.get("dtype") in _KINDS:
            start, end = entry["data_offsets"]
            kind = TensorProto.DataType.Value(_KINDS[entry["dtype"]])
            place = Place(str(file), 8 + size_bytes + start, end - start)
            tensors[name] = stored_at(place, name, kind, tuple(entry["shape"]))
    return tensors


def stored_state(folder: Path) -> dict[str, onnx.TensorProto]:
    """The larger tensors of the state as graphs in that folder name them, whose numbers stay in its files."""
    stored: dict[str, onnx.TensorProto] = {}
    for file in (file for file in (folder / FILE_NAME, folder / PASSING) if file.is_file()):
        for name, tensor in tensors_in(file).items():
            place = place_of(tensor)
            if place.size_bytes >= SMALLEST_BYTES:
                own = replace(place, file=file.name)
                stored[name] = stored_at(own, name, tensor.data_type, tuple(tensor.dims))
    return stored


def initial_values(folder: Path) -> dict[str, onnx.TensorProto]:
    """Every parameter and buffer of the torch module of an export's folder, before training, each in its file."""
    files = (file for file in (folder / FILE_NAME, folder / PASSING) if file.is_file())
    return {name: tensor for file in files for name, tensor in tensors_in(file).items()}


def with_values(folder: Path, values: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]] | None:
    """The state dict of an export's folder with other values; None where the export is of no torch module.

    Args:
      folder: of the export.
      values: by the names of parameters and buffers; of what the module has not, none is taken.
    """
    from safetensors import safe_open
    from safetensors.numpy import load_file

    file = folder / FILE_NAME
    if not file.is_file():
        return None
    with safe_open(file, framework="numpy") as opened:
        aliases = opened.metadata() or {}
    old = load_file(file)
    new = {name: values.get(aliases.get(name, name), value) for name, value in old.items()}
    return {name: new[name].reshape(value.shape).astype(value.dtype) for name, value in old.items()}
