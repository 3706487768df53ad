"""Data sinking: several updates in one call, the train step inside a Loop."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, compose, helper

from device_runtime.formats.steps import PROXIMAL
from pipeline.graphs.graph import IR_VERSION, OPSET
from pipeline.graphs.names import FEATURES, IMAGE
from pipeline.graphs.stored import check_graph

# Inputs of the train step that no update changes.
FIXED = ("start", PROXIMAL)
# Inputs of the train step that every update has its own of.
STACKED = (IMAGE, FEATURES, "label", "learning_rate")
_PREFIX = "update/"


def build_sink_step(train_step: onnx.ModelProto) -> onnx.ModelProto:
    """K updates: the train step's inputs and outputs, with an axis K before those of batch, learning rate and loss.

    `step` is the number of the first update; each call chooses its K.
    """
    graph = train_step.graph
    carried = [info for info in graph.input if info.name not in (*STACKED, *FIXED, "step")]
    fixed = [info for info in graph.input if info.name in FIXED]
    stacked = [info for info in graph.input if info.name in STACKED]
    body = _body(train_step, stacked, fixed, carried)
    inputs = [
        *(_stacked(info) for info in stacked),
        helper.make_tensor_value_info("step", TensorProto.INT64, []),
        *fixed,
        *carried,
    ]
    given = {info.name: info for info in graph.output}
    outputs = [_stacked(given["loss"]), *(given[f"{info.name}_out"] for info in carried)]
    nodes = [
        helper.make_node("Shape", ["label"], ["count"], start=0, end=1),
        helper.make_node("Squeeze", ["count"], ["trips"]),
        helper.make_node(
            "Loop",
            ["trips", "", *(info.name for info in carried)],
            [*(f"{info.name}_out" for info in carried), "loss"],
            body=body,
        ),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "sink_step", inputs, outputs),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=train_step.producer_name,
    )
    check_graph(model)
    return model


def _body(
    train_step: onnx.ModelProto,
    stacked: Sequence[onnx.ValueInfoProto],
    fixed: Sequence[onnx.ValueInfoProto],
    carried: Sequence[onnx.ValueInfoProto],
) -> onnx.GraphProto:
    """One turn: the update's own batch and rate picked, its state taken from the turn before."""
    # A subgraph may not use a name of the graph around it again.
    step = compose.add_prefix(train_step, _PREFIX).graph
    nodes = [
        *(helper.make_node("Gather", [info.name, "turn"], [f"{_PREFIX}{info.name}"], axis=0) for info in stacked),
        *(helper.make_node("Identity", [info.name], [f"{_PREFIX}{info.name}"]) for info in fixed),
        helper.make_node("Add", ["step", "turn"], [f"{_PREFIX}step"]),
        helper.make_node("Identity", ["going"], ["goes_on"]),
        *step.node,
    ]
    inputs, outputs = ({info.name: info for info in infos} for infos in (step.input, step.output))
    return helper.make_graph(
        nodes,
        "update",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            *(inputs[f"{_PREFIX}{info.name}"] for info in carried),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            *(outputs[f"{_PREFIX}{info.name}_out"] for info in carried),
            outputs[f"{_PREFIX}loss"],
        ],
        list(step.initializer),
    )


def _stacked(info: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """K values of this type."""
    tensor = info.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else size.dim_param for size in tensor.shape.dim]
    return helper.make_tensor_value_info(info.name, tensor.elem_type, ["K", *shape])
