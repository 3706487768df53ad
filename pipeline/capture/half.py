"""Frozen weights in float16: half the size of what travels to the device. Everything is still computed in float32."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError
from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.stored import graphs_of, is_stored, values_of

if TYPE_CHECKING:
    import torch


def round_frozen(module: torch.nn.Module, trainable: Collection[str]) -> None:
    """Rounds the weights of a module that are not to train to what float16 holds; vectors stay as they are.

    Raises:
      ModelError: a weight is too large for float16.
    """
    import torch

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in trainable and parameter.dim() > 1 and parameter.dtype == torch.float32:
                parameter.copy_(torch.from_numpy(_rounded(name, parameter.numpy())))


def round_weights(forward: onnx.ModelProto, names: Collection[str]) -> None:
    """Rounds these weights of a float32 graph to what float16 holds; vectors, such as biases, stay as they are.

    Raises:
      ModelError: a weight is too large for float16.
    """
    for tensor in forward.graph.initializer:
        if tensor.name in names and len(tensor.dims) > 1:
            rounded = _rounded(tensor.name, numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


def _rounded(name: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(np.float32)
    if not np.array_equal(np.isfinite(rounded), np.isfinite(values)):
        raise ModelError(
            f"the frozen parameter {name} has values of up to {np.abs(values).max():.3g}, float16 holds none above "
            "65504: leave --frozen-dtype at float32"
        )
    return rounded


def store_half(model: onnx.ModelProto) -> None:
    """Stores the constants of a graph as float16 that it holds exactly, and a Cast behind it; not those in files."""
    for graph in graphs_of(model.graph):
        casts: list[onnx.NodeProto] = []
        for tensor in graph.initializer:
            half = None if is_stored(tensor) else half_of(tensor)
            if half is not None:
                casts.append(cast_from_half(tensor.name))
                tensor.CopyFrom(numpy_helper.from_array(half, casts[-1].input[0]))
        replace_nodes(graph, [*casts, *graph.node])


def half_of(tensor: onnx.TensorProto) -> npt.NDArray[np.float16] | None:
    """The numbers of a float32 tensor of two axes or more, where float16 holds them exactly; else None."""
    if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
        return None
    values = values_of(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None


def cast_from_half(name: str) -> onnx.NodeProto:
    """What makes the float32 tensor of that name of the one that is stored."""
    stored = f"{name}/float16"
    return helper.make_node("Cast", [stored], [name], stored, to=TensorProto.FLOAT)
