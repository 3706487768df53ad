"""A torch module's state dict beside its export, in which the trained values can be put back.

Writes state.safetensors: every entry of `module.state_dict()` under its name; read when results are collected. Buffers
that are no part of it stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pipeline.graphs.stored import SMALLEST_BYTES, Place, stored_at

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


def stored_state(folder: Path) -> dict[str, onnx.TensorProto]:
    """The larger tensors of the state as graphs in that folder name them, whose numbers stay in its files."""
    from onnx import TensorProto

    stored: dict[str, onnx.TensorProto] = {}
    for path in (path for path in (folder / FILE_NAME, folder / PASSING) if path.is_file()):
        with path.open("rb") as file:
            size_bytes = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size_bytes))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            if end - start >= SMALLEST_BYTES and entry["dtype"] in _KINDS:
                place = Place(path.name, 8 + size_bytes + start, end - start)
                kind = TensorProto.DataType.Value(_KINDS[entry["dtype"]])
                stored[name] = stored_at(place, name, kind, tuple(entry["shape"]))
    return stored


def initial_values(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Every parameter and buffer of the torch module of an export's folder, before training."""
    from safetensors.numpy import load_file

    passing = folder / PASSING
    return (with_values(folder, {}) or {}) | (load_file(passing) if passing.is_file() else {})


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
