"""Frozen weights in float16: half the size of what travels to the device. Everything is still computed in float32."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError
from pipeline.graphs.edits import replace_nodes

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
    """Stores every float32 constant of two axes or more that float16 holds exactly as such, and a Cast behind it."""
    for graph in _graphs(model.graph):
        casts: list[onnx.NodeProto] = []
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
                values = numpy_helper.to_array(tensor)
                half = values.astype(np.float16)
                if np.array_equal(half.astype(np.float32), values):
                    stored = f"{tensor.name}/float16"
                    casts.append(helper.make_node("Cast", [stored], [tensor.name], stored, to=TensorProto.FLOAT))
                    tensor.CopyFrom(numpy_helper.from_array(half, stored))
        replace_nodes(graph, [*casts, *graph.node])


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside of it, inner ones first."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
    yield graph
