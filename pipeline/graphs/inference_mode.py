"""Layers that act otherwise in training, set to inference: batch normalisation and dropout."""

from __future__ import annotations

import onnx

BATCH_NORM, DROPOUT = "BatchNormalization", "Dropout"


def to_inference_mode(model: onnx.ModelProto) -> None:
    """Changes `model` so that its batch normalisation takes the running statistics and its dropout drops nothing."""
    unread: set[str] = set()
    for node in model.graph.node:
        if node.op_type == BATCH_NORM:
            kept = [attribute for attribute in node.attribute if attribute.name not in ("training_mode", "momentum")]
            del node.attribute[:], node.output[1:]
            node.attribute.extend(kept)
        elif node.op_type == DROPOUT:
            # Its third input, the mode, is false where it is left out.
            unread.update(node.input[1:])
            del node.input[1:], node.output[1:]
    # The runtime warns of each constant that nothing reads.
    unread -= {name for node in model.graph.node for name in node.input}
    for node in [node for node in model.graph.node if node.op_type == "Constant" and node.output[0] in unread]:
        model.graph.node.remove(node)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in unread]:
        model.graph.initializer.remove(tensor)


def trained_statistics(model: onnx.ModelProto) -> list[str]:
    """Names of the running means and variances of batch normalisation in training mode, in the order of the layers."""
    names = (name for node in model.graph.node if trains(node) for name in node.input[3:5])
    return list(dict.fromkeys(names))


def trains(node: onnx.NodeProto) -> bool:
    """Whether this is batch normalisation that takes the batch's statistics."""
    return node.op_type == BATCH_NORM and any(a.name == "training_mode" and a.i for a in node.attribute)
