"""The loss behind a forward graph, in operators of the ONNX standard that onnxruntime-training differentiates.

Each is torch's of the same name with labels as int64 N, and one-hot labels where torch wants targets of the logits'
shape. Plain cross entropy is not among them: onnxruntime-training's own is one fused operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.graphs.names import LABELS, LOGITS, LOSS
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import onnx

# F.cross_entropy(logits, labels, label_smoothing=e).
_SMOOTHED_CROSS_ENTROPY = """
    log_probabilities = LogSoftmax<axis = 1>(logits)
    weighted = Mul(log_probabilities, targets)
    likelihood = ReduceSum<keepdims = 0>(weighted, axis)
    mean = ReduceMean<keepdims = 0>(likelihood)
    loss = Neg(mean)
"""

# F.mse_loss(logits, one-hot labels).
_MEAN_SQUARED_ERROR = """
    difference = Sub(logits, targets)
    squares = Mul(difference, difference)
    loss = ReduceMean<keepdims = 0>(squares)
"""

# F.binary_cross_entropy_with_logits(logits, one-hot labels): the mean of softplus(z), z the logit with its sign turned
# at the label. As max(z, 0) + log(1 + exp(-|z|)) it never overflows, and with -|z| = z - 2 max(z, 0) its gradient at
# 0 is right too, where that of Abs would make it 0.
_BINARY_CROSS_ENTROPY = """
    z = Mul(logits, targets)
    positive = Relu(z)
    doubled = Mul(positive, two)
    below = Sub(z, doubled)
    small = Exp(below)
    shifted = Add(small, one)
    rest = Log(shifted)
    softplus = Add(positive, rest)
    loss = ReduceMean<keepdims = 0>(softplus)
"""


def is_fused(recipe: Recipe) -> bool:
    """Whether the recipe's loss is the one that onnxruntime-training has as an operator."""
    return recipe.loss == "cross_entropy" and not recipe.label_smoothing


def with_loss(forward: onnx.ModelProto, recipe: Recipe, classes: int) -> onnx.ModelProto:
    """The forward graph with the recipe's loss behind it: another input `labels`, and `loss` as its only output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    off, on, body = _targets_and_body(recipe, classes)
    nodes = onnx.parser.parse_graph(f"loss () => () {{ targets = OneHot<axis = 1>(labels, classes, off_on) {body} }}")
    constants: dict[str, npt.NDArray[Any]] = {
        "classes": np.array(classes),
        "off_on": np.array([off, on], np.float32),
        "axis": np.array([1]),
        "one": np.array(1, np.float32),
        "two": np.array(2, np.float32),
    }
    model = onnx.ModelProto()
    model.CopyFrom(forward)
    graph = model.graph
    for node in nodes.node:
        graph.node.append(node)
        node = graph.node[-1]
        node.name = _name(node.output[0])
        node.input[:] = [_name(value) for value in node.input]
        node.output[:] = [_name(value) for value in node.output]
    read = {name for node in nodes.node for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(v, _name(n)) for n, v in constants.items() if n in read)
    graph.input.append(helper.make_tensor_value_info(LABELS, TensorProto.INT64, ["N"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(LOSS, TensorProto.FLOAT, []))
    onnx.checker.check_model(model)
    return model


def _name(value: str) -> str:
    """A name that no value of the network has, but for those that the loss shares with it."""
    return value if value in (LOGITS, LABELS, LOSS) else f"loss/{value}"


def _targets_and_body(recipe: Recipe, classes: int) -> tuple[float, float, str]:
    """What `targets` holds beside the label and at it, and the nodes that follow."""
    if recipe.loss == "mean_squared_error":
        return 0, 1, _MEAN_SQUARED_ERROR
    if recipe.loss == "binary_cross_entropy":
        return 1, -1, _BINARY_CROSS_ENTROPY
    share = recipe.label_smoothing / classes
    return share, 1 - recipe.label_smoothing + share, _SMOOTHED_CROSS_ENTROPY
