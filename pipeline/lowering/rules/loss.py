"""Softmax cross entropy and its gradient."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import lowers


@lowers("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(node: Node, g: Graph) -> tuple[Value, ...]:
    """SoftmaxCrossEntropyLoss(logits N×K, label N) → loss scalar, log probabilities N×K."""
    _check(node)
    logits, label = node.inputs[:2]
    log_probabilities = g.op("LogSoftmax", logits, axis=1)
    picked = g.op("Mul", log_probabilities, _one_hot(node, g, label, 0))
    reduce = "ReduceMean" if _reduction(node) == "mean" else "ReduceSum"
    per_image = g.sum(picked, [1])
    return g.op("Neg", g.op(reduce, per_image, keepdims=0)), log_probabilities


@lowers("SoftmaxCrossEntropyLossGrad")
def softmax_cross_entropy_loss_grad(node: Node, g: Graph) -> Value:
    """SoftmaxCrossEntropyLossGrad(dloss scalar, log probabilities N×K, label N) → dlogits: (softmax − one hot) / N."""
    _check(node)
    dloss, log_probabilities, label = node.inputs[:3]
    difference = g.op("Sub", g.op("Exp", log_probabilities), _one_hot(node, g, label, 1))
    if _reduction(node) == "mean":
        batch = g.op("Cast", g.op("Shape", label), to=TensorProto.FLOAT)
        dloss = g.op("Div", dloss, batch)
    return g.op("Mul", difference, dloss)


def _one_hot(node: Node, g: Graph, label: Value, scores: int) -> Value:
    """float32 N×K, 1 at the label: of the right shape for `input_shapes[scores]`."""
    classes = int(node.input_shape(scores)[1])
    return g.op("OneHot", label, g.ints(classes), g.constant([0, 1], np.float32), axis=1)


def _reduction(node: Node) -> str:
    reduction = node.attributes.get("reduction", b"mean")
    return reduction.decode() if isinstance(reduction, bytes) else str(reduction)


def _check(node: Node) -> None:
    """Refuses what would silently be ignored: class weights and an ignored label."""
    weighted = len(node.inputs) > (3 if node.op_type.endswith("Grad") else 2) and bool(node.inputs[-1])
    if weighted or node.attributes.get("ignore_index") is not None or _reduction(node) == "none":
        raise LoweringError(
            f"{node.op_type} (node {node.name!r}) cannot be lowered with class weights, ignore_index or "
            "reduction 'none': use the mean or the sum over all images"
        )
