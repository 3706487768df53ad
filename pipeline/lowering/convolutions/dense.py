"""In which form a dense convolution of two spatial axes and its gradients are computed, by what it costs."""

from __future__ import annotations

import math
from dataclasses import replace

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions import gathered, winograd
from pipeline.lowering.convolutions.windows import Axis, image_axes
from pipeline.lowering.convolutions.winograd import Winograd

Axes = tuple[Axis, Axis]

# Elements of what is gathered for one image: beyond, it takes more memory than it is worth.
_ELEMENTS_LIMIT = 2**19

# Measured, in ns on one thread (docs/decisions.md): a multiplication and addition within a product; an element that is
# gathered; that is brought to its point; that is led back from it; a weight that is brought to its point.
_PRODUCT, _GATHERED, _TO_POINT, _FROM_POINT, _WEIGHT = 0.02, 0.5, 1.5, 0.75, 0.66
# Images of a batch: weights are brought to their points once for all of them.
_BATCH = 16
# Fewer rows are no product worth the name, and rounding is less if it is not taken without need.
_LEAST_GAIN = 0.8
_TILES = (2, 3, 4)

Form = Axes | Winograd


def form_of(node: Node, image: Shape | None, weights: Shape | None) -> Form | None:
    """The form of the convolution that `node` is, or whose gradient, by its operands' shapes; None for the runtime's.

    The axes are those of a gathered convolution.
    """
    axes = image_axes(node.attributes, image, weights)
    if axes is None or weights is None or int(node.attributes.get("group", 1)) != 1 or _is_pointwise(axes):
        return None
    outputs, channels = (int(size) for size in weights[:2])
    plain = _gathered_cost(axes, channels, outputs)
    costs = {form: _winograd_cost(form, channels, outputs) for form in _windings(axes, channels)}
    best = min(costs, key=lambda form: costs[form], default=None)
    if best and costs[best] < _LEAST_GAIN * plain:
        return best
    return axes if channels * math.prod(axis.kernel * axis.out for axis in axes) <= _ELEMENTS_LIMIT else None


def convolve(node: Node, g: Graph, form: Form) -> Value:
    """Conv(x N×C×H×W, w M×C×KH×KW, [b M]) → y."""
    return winograd.convolve(node, g, form) if isinstance(form, Winograd) else gathered.convolve(node, g, form)


def input_gradient(node: Node, g: Graph, form: Form) -> Value:
    """Dx of ConvGrad(dy, x, w)."""
    if isinstance(form, Winograd):
        return winograd.input_gradient(node, g, form)
    return gathered.input_gradient(node, g, form)


def weight_gradient(node: Node, g: Graph, form: Form) -> Value:
    """Dw of ConvGrad(dy, x, w)."""
    if isinstance(form, Winograd):
        return winograd.weight_gradient(node, g, form)
    return gathered.weight_gradient(node, g, form)


def _is_pointwise(axes: Axes) -> bool:
    return all(axis == Axis(axis.size, axis.size, 1) for axis in axes)


def _windings(axes: Axes, channels: int) -> list[Winograd]:
    """The tilings that there are, and take little enough memory."""
    if any(replace(axis, size=0, out=0, begin=0, end=0) != Axis(0, 0, winograd.KERNEL) for axis in axes):
        return []
    forms = [Winograd(axes, tile) for tile in _TILES]
    return [form for form in forms if form.points * form.tiles * channels <= _ELEMENTS_LIMIT]


def _gathered_cost(axes: Axes, channels: int, outputs: int) -> float:
    """Ns for a batch, forward."""
    elements = channels * math.prod(axis.kernel * axis.out for axis in axes)
    return _BATCH * elements * (outputs * _PRODUCT + _GATHERED)


def _winograd_cost(form: Winograd, channels: int, outputs: int) -> float:
    """Ns for a batch, forward."""
    along = channels * outputs * _PRODUCT + channels * _TO_POINT + outputs * _FROM_POINT
    return form.points * (_BATCH * form.tiles * along + channels * outputs * _WEIGHT)
