"""Models in float16 or double, in float32: that is what training computes in."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from pipeline.sources.onnx_files.reading import subgraphs

OTHER_FLOATS = (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)

# Attributes that name a type of numbers.
_TYPES = ("to", "dtype", "stash_type", "output_dtype")


def in_float32(model: onnx.ModelProto) -> list[str]:
    """Gives a model float32 wherever it has other floats; returns the names of the types that its weights had."""
    found: set[int] = set()
    for graph in subgraphs(model.graph):
        for tensor in graph.initializer:
            _convert(tensor, found)
        for info in (*graph.input, *graph.output, *graph.value_info):
            if info.type.tensor_type.elem_type in OTHER_FLOATS:
                info.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                _convert_attribute(attribute, found)
    return sorted(TensorProto.DataType.Name(kind).lower() for kind in found)


def _convert_attribute(attribute: AttributeProto, found: set[int]) -> None:
    if attribute.name in _TYPES and attribute.i in OTHER_FLOATS:
        attribute.i = TensorProto.FLOAT
    for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
        # A single number is the exporter's, not a weight.
        _convert(tensor, found if tensor.dims else set())


def _convert(tensor: TensorProto, found: set[int]) -> None:
    if tensor.data_type in OTHER_FLOATS:
        found.add(tensor.data_type)
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), tensor.name))
