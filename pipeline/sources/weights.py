"""Weights that a torch module starts from: a state dict in a file, safetensors or torch's own.

Names are the module's own, as `module.state_dict()` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ModelError, brief, in_one_line
from pipeline.progress import note

if TYPE_CHECKING:
    import torch

# Under these names checkpoints of other trainers keep the state dict.
NESTED = ("state_dict", "model_state_dict", "model")


def load_weights(module: torch.nn.Module, file: Path) -> None:
    """Puts the tensors of a file into the module, in place; tensors of another size stay as they were drawn.

    What is missing, unexpected, or of another size is told, a line for each kind.

    Raises:
      ModelError: the file cannot be read, holds no state dict, or none of its names is the module's.
    """
    import torch

    given, own = _read(file), module.state_dict()
    shared = [name for name in own if name in given]
    if not shared:
        raise ModelError(
            f"{file}: no name is one of the model's: it has {brief(list(given))}; the model has {brief(list(own))}"
        )
    resized = [name for name in shared if given[name].shape != own[name].shape]
    with torch.no_grad():
        for name in shared:
            if name not in resized:
                try:
                    own[name].copy_(given[name])
                except RuntimeError as error:
                    raise ModelError(f"{file}: {name} is no plain tensor: {in_one_line(error)[:300]}") from error
    sizes = [f"{name} ({_sizes(own[name])}, there {_sizes(given[name])})" for name in resized]
    _tell(file, "has in another size, left as drawn", sizes)
    _tell(file, "lacks", [name for name in own if name not in given])
    _tell(file, "has beside the model's", [name for name in given if name not in own])


def _read(file: Path) -> Mapping[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises errors of every kind at damaged files.
        raise ModelError(
            f"{file} cannot be read as weights: {in_one_line(error)[:300]}; give a .safetensors file, or a state dict "
            "saved by torch.save(module.state_dict(), file)"
        ) from error
    for name in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise ModelError(f"{file} holds no state dict: save it by torch.save(module.state_dict(), file)")
    return content


def _tell(file: Path, what: str, names: Sequence[str]) -> None:
    if names:
        note(f"weights: {file.name} {what}: {brief(names)}")


def _sizes(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
