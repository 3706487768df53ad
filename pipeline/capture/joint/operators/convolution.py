"""Convolutions and their gradients."""

from __future__ import annotations

from typing import Any

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.graphs.graph import Value


@translates("convolution")
def convolution(call: Call, g: Writer) -> Value:
    """convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)."""
    inputs = [call["input"].value, call["weight"].value, *([call["bias"].value] if call["bias"] else [])]
    return g.op("ConvTranspose" if call["transposed"] else "Conv", *inputs, **_attributes(call))


@translates("convolution_backward")
def convolution_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """convolution_backward(grad_output, input, weight, bias_sizes, stride, …, output_mask) → dinput, dweight, dbias."""
    kind = "ConvTransposeGrad" if call["transposed"] else "ConvGrad"
    inputs = (call[name].value for name in ("grad_output", "input", "weight"))
    outputs = g.ops(kind, *inputs, outputs=3, **_attributes(call))
    kept = [name if wanted else "" for name, wanted in zip(outputs, call.wanted, strict=True)]
    g.nodes[-1].output[:] = kept
    return tuple(kept)


def _attributes(call: Call) -> dict[str, Any]:
    spatial = call["weight"].rank - 2
    stride, padding, dilation = (_each(call[name], spatial) for name in ("stride", "padding", "dilation"))
    attributes: dict[str, Any] = {
        "kernel_shape": [call["weight"].static(axis) for axis in range(2, spatial + 2)],
        "strides": stride,
        "pads": [*padding, *padding],
        "dilations": dilation,
        "group": int(call["groups"]),
    }
    if call["transposed"]:
        attributes["output_padding"] = _each(call["output_padding"], spatial)
    return attributes


def _each(numbers: list[int], count: int) -> list[int]:
    """One number for each axis: torch takes one for all."""
    return [int(number) for number in (numbers if len(numbers) == count else list(numbers) * count)]
