"""Batch normalisation that was exported in training mode, which has stood in three forms in the standard."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import helper

from pipeline.graphs.graph import Graph
from pipeline.graphs.inference_mode import BATCH_NORM, trains
from pipeline.graphs.reading import opset_of

# From here on an attribute tells the mode, before it the number of outputs did.
_FIRST_OPSET_OF_MODE = 14


def put_aside_training(model: onnx.ModelProto) -> list[str]:
    """Puts old layers in training mode into inference mode, which converts; returns their outputs."""
    if opset_of(model) >= _FIRST_OPSET_OF_MODE:
        return []
    layers = [node for node in model.graph.node if node.op_type == BATCH_NORM and len(node.output) > 1]
    for node in layers:
        del node.output[1:]
    return [node.output[0] for node in layers]


def put_back_training(model: onnx.ModelProto, outputs: Collection[str]) -> None:
    """Puts the layers of these outputs into training mode."""
    for node in model.graph.node:
        if node.op_type == BATCH_NORM and node.output[0] in outputs:
            node.attribute.append(helper.make_attribute("training_mode", 1))
    name_statistics(model)


def name_statistics(model: onnx.ModelProto) -> None:
    """Names all three outputs of layers in training mode: without, ONNX Runtime crashes."""
    g = Graph.beside(model)
    for node in model.graph.node:
        if trains(node):
            given = [*node.output, "", ""][:3]
            node.output[:] = [name or g.name(f"{given[0]}/new_statistic") for name in given]
