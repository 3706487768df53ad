"""Tensors whose numbers stand in a file beside the graph: a graph of large weights stays small in memory.

Paths are relative to the graph's folder in a file, and absolute in a graph that `load_light` read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

# Smaller ones stay in the graph: what computes with sizes and bounds reads them there.
SMALLEST_BYTES = 4096


@dataclass(frozen=True)
class Place:
    """Where a tensor's numbers stand."""

    file: str
    offset: int
    size_bytes: int


def stored_at(place: Place, name: str, kind: int, shape: tuple[int, ...]) -> onnx.TensorProto:
    """A tensor of the ONNX type `kind` whose numbers, little-endian, stand there."""
    import onnx

    tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape, data_location=onnx.TensorProto.EXTERNAL)
    entries = {"location": place.file, "offset": str(place.offset), "length": str(place.size_bytes)}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def is_stored(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's numbers stand in a file."""
    return tensor.data_location == type(tensor).EXTERNAL


def place_of(tensor: onnx.TensorProto) -> Place:
    """Where the numbers of a stored tensor stand."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return Place(entries["location"], int(entries.get("offset", 0)), int(entries["length"]))


def values_of(tensor: onnx.TensorProto) -> npt.NDArray[np.generic]:
    """The numbers of a tensor of `load_light`, wherever they stand."""
    from onnx import helper, numpy_helper

    if not is_stored(tensor):
        return numpy_helper.to_array(tensor)
    place, dtype = place_of(tensor), helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = place.size_bytes // dtype.itemsize
    return np.fromfile(place.file, dtype, count, offset=place.offset).reshape(tuple(tensor.dims))


def embed(model: onnx.ModelProto) -> None:
    """Takes the numbers of stored tensors into a graph of `load_light`."""
    from onnx import numpy_helper

    for graph in graphs_of(model.graph):
        for tensor in filter(is_stored, graph.initializer):
            tensor.CopyFrom(numpy_helper.from_array(values_of(tensor), tensor.name))


def load_light(file: Path) -> onnx.ModelProto:
    """A graph without the numbers that stand in other files."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    for graph in graphs_of(model.graph):
        for tensor in filter(is_stored, graph.initializer):
            location = next(entry for entry in tensor.external_data if entry.key == "location")
            location.value = str((file.parent / location.value).resolve())
    return model


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside of it, inner ones first."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == type(attribute).GRAPH:
                yield from graphs_of(attribute.g)
    yield graph


def without_stored(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """A copy with stand-ins for stored tensors, and those by name: onnx's own functions would look for their files."""
    import onnx

    copy, stored = onnx.ModelProto(), dict[str, onnx.TensorProto]()
    copy.CopyFrom(model)
    for graph in graphs_of(copy.graph):
        for tensor in filter(is_stored, graph.initializer):
            stored[tensor.name] = onnx.TensorProto.FromString(tensor.SerializeToString())
            tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0]))
    return copy, stored


def check_graph(model: onnx.ModelProto) -> None:
    """Checks a model as `onnx.checker` does.

    Raises:
      ValidationError: it is not valid.
    """
    import onnx

    onnx.checker.check_model(without_stored(model)[0])
