"""Normalisation and its gradients."""

from __future__ import annotations

from typing import Any

import torch

from pipeline.capture.joint.operators.call import Call, Size, Tensor, UntranslatedError, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("_native_batch_norm_legit_functional", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
@translates("native_batch_norm", "_batch_norm_with_update_functional", "_batch_norm_no_update")
def batch_norm(call: Call, g: Writer) -> tuple[Value, ...]:
    """_native_batch_norm_legit_functional(input, weight, bias, running_mean, running_var, training, momentum, eps).

    → output, the batch's mean and 1/deviation, and the renewed running mean and variance.
    """
    x, epsilon = call["input"], float(call["eps"])
    if "no_training" in call.name or not call.get("training", True):
        mean, variance = call["running_mean"].value, call["running_var"].value
        y = g.op("BatchNormalization", x.value, *_affine(call, g), mean, variance, epsilon=epsilon)
        # Nothing reads the statistics of a batch that was not measured.
        return (y, mean, variance, mean, variance)[: len(call.results)]
    if not _is_of_images(x):
        return _batch_norm_of_any_channels(call, g)
    statistics = [call.get(name) for name in ("running_mean", "running_var")]
    if not all(statistics):
        # The runtime writes there: two vectors that it cannot take for one, or for a constant.
        statistics = [call.get(name) for name in ("weight", "bias")]
    if not all(statistics):
        return _batch_norm_of_any_channels(call, g)
    given = [statistic.value for statistic in statistics]
    y, new_mean, new_variance, mean, inverse = g.ops(
        "BatchNormInternal",
        x.value,
        *_affine(call, g),
        *given,
        outputs=5,
        epsilon=epsilon,
        momentum=1.0 - float(call["momentum"]),
    )
    return (y, mean, inverse, new_mean, new_variance)[: len(call.results)]


def _affine(call: Call, g: Writer) -> tuple[Value, Value]:
    channels = sizes_of(call["input"])[1]
    made: list[Value] = []
    for name, number in (("weight", 1.0), ("bias", 0.0)):
        given = call.get(name)
        if given:
            made.append(given.value)
        elif isinstance(channels, Size):
            made.append(g.op("Expand", g.floats(number), g.size(channels)))
        else:
            made.append(g.floats([number] * channels))
    return made[0], made[1]


def _is_of_images(x: Tensor) -> bool:
    """Whether it has the batch, and not among its channels: else it is a weight, or 1×(N·C)×… as of instance norm."""
    return isinstance(x.shape[1], int) and not isinstance(x.shape[0], int)


def _batch_norm_of_any_channels(call: Call, g: Writer) -> tuple[Value, ...]:
    """By operators of the standard: of weights, and where the batch is among the channels."""
    x = call["input"]
    axes = [axis for axis in range(x.rank) if axis != 1]
    weight, bias = (_channels(g, value, x.rank) for value in _affine(call, g))
    mean = g.op("ReduceMean", x.value, axes=axes, keepdims=1)
    centred = g.op("Sub", x.value, mean)
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axes=axes, keepdims=1)
    inverse = g.op("Reciprocal", g.op("Sqrt", g.op("Add", variance, g.floats(float(call["eps"])))))
    y = g.op("Add", g.op("Mul", g.op("Mul", centred, inverse), weight), bias)
    flat = [g.op("Reshape", value, g.ints([-1])) for value in (mean, inverse, variance)]
    if len(call.results) == 3:
        return y, flat[0], flat[1]
    if not call.get("running_mean"):
        return y, flat[0], flat[1], flat[0], flat[2]
    keep = 1.0 - float(call["momentum"])
    count = 1
    for axis in axes:
        count *= x.static(axis)
    unbiased = g.op("Mul", flat[2], g.floats(count / max(count - 1, 1)))
    renewed = [
        g.blend(call[name].value, new, keep) for name, new in (("running_mean", flat[0]), ("running_var", unbiased))
    ]
    return y, flat[0], flat[1], *renewed


def _channels(g: Writer, value: Value, rank: int) -> Value:
    """A vector over the channels as 1×C×1…."""
    return g.op("Reshape", value, g.ints([1, -1, *[1] * (rank - 2)]))


@translates("native_batch_norm_backward", "batch_norm_backward")
def batch_norm_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_batch_norm_backward(grad_out, input, weight, …, save_mean, save_invstd, train, eps, output_mask)."""
    gradient, x = call.get("grad_out") or call["grad_output"], call["input"]
    weight = call["weight"].value if call["weight"] else _affine(call, g)[0]
    axes = [axis for axis in range(x.rank) if axis != 1]
    trains = call["train"] if "train" in call.arguments else call["update"]
    if trains and _is_of_images(x):
        inputs = (gradient.value, x.value, weight, call["save_mean"].value, call["save_invstd"].value)
        return g.ops("BatchNormalizationGrad", *inputs, outputs=3)
    if trains:
        mean, inverse = (_channels(g, call[name].value, x.rank) for name in ("save_mean", "save_invstd"))
    else:
        mean = _channels(g, call["running_mean"].value, x.rank)
        deviation = g.op("Sqrt", g.op("Add", call["running_var"].value, g.floats(float(call["eps"]))))
        inverse = _channels(g, g.op("Reciprocal", deviation), x.rank)
    normal = g.op("Mul", g.op("Sub", x.value, mean), inverse)
    scaled = g.op("Mul", gradient.value, _channels(g, weight, x.rank))
    dweight = g.sum(g.op("Mul", gradient.value, normal), axes)
    dbias = g.sum(gradient.value, axes)
    if not trains:
        return g.op("Mul", scaled, inverse), dweight, dbias
    return _through_normalised(g, scaled, normal, inverse, axes), dweight, dbias


def _through_normalised(g: Writer, dy: Value, normal: Value, inverse: Value, axes: list[int]) -> Value:
    """The gradient of x where dy is that of (x − mean) / deviation, over the axes."""
    centred = g.op("Sub", dy, g.op("ReduceMean", dy, axes=axes, keepdims=1))
    share = g.op("ReduceMean", g.op("Mul", dy, normal), axes=axes, keepdims=1)
    return g.op("Mul", g.op("Sub", centred, g.op("Mul", normal, share)), inverse)


@translates("native_layer_norm")
def layer_norm(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_layer_norm(input, normalized_shape, weight, bias, eps) → output, mean, 1/deviation."""
    x, axes = call["input"], len(call["normalized_shape"])
    scale = call["weight"].value if call["weight"] else g.floats(torch.ones(tuple(call["normalized_shape"])).numpy())
    bias = [call["bias"].value] if call["bias"] else []
    inputs = (x.value, scale, *bias)
    return g.ops("LayerNormalization", *inputs, outputs=3, axis=x.rank - axes, epsilon=float(call["eps"]))


@translates("native_layer_norm_backward")
def layer_norm_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_layer_norm_backward(grad_out, input, normalized_shape, mean, rstd, weight, bias, output_mask)."""
    x, axes = call["input"], len(call["normalized_shape"])
    scale = call["weight"].value if call["weight"] else g.floats(torch.ones(tuple(call["normalized_shape"])).numpy())
    inputs = (call["grad_out"].value, x.value, scale, call["mean"].value, call["rstd"].value)
    return g.ops("LayerNormalizationGrad", *inputs, outputs=3, axis=x.rank - axes)


@translates("_fused_rms_norm")
def rms_norm(call: Call, g: Writer) -> tuple[Value, ...]:
    """_fused_rms_norm(input, normalized_shape, weight, eps) → output, 1/rms. Zhang and Sennrich, arXiv:1910.07467."""
    x, axes = call["input"], list(range(call["input"].rank - len(call["normalized_shape"]), call["input"].rank))
    epsilon = float(torch.finfo(torch.float32).eps if call["eps"] is None else call["eps"])
    square = g.op("ReduceMean", g.op("Mul", x.value, x.value), axes=axes, keepdims=1)
    inverse = g.op("Reciprocal", g.op("Sqrt", g.op("Add", square, g.floats(epsilon))))
    normal = g.op("Mul", x.value, inverse)
    return (g.op("Mul", normal, call["weight"].value) if call["weight"] else normal), inverse


@translates("_fused_rms_norm_backward")
def rms_norm_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """_fused_rms_norm_backward(grad_out, input, normalized_shape, rstd, weight, output_mask) → dinput, dweight."""
    x, gradient = call["input"], call["grad_out"].value
    first = x.rank - len(call["normalized_shape"])
    normal = g.op("Mul", x.value, call["rstd"].value)
    scaled = g.op("Mul", gradient, call["weight"].value) if call["weight"] else gradient
    share = g.op("ReduceMean", g.op("Mul", scaled, normal), axes=list(range(first, x.rank)), keepdims=1)
    dx = g.op("Mul", g.op("Sub", scaled, g.op("Mul", normal, share)), call["rstd"].value)
    return dx, g.sum(g.op("Mul", gradient, normal), list(range(first)))


@translates("native_group_norm")
def group_norm(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_group_norm(input, weight, bias, N, C, HxW, group, eps) → output, mean N×G, 1/deviation N×G.

    Wu and He, arXiv:1803.08494.
    """
    x, groups = call["input"], int(call["group"])
    if not any(call.wanted[1:]):
        return _group_norm_alone(call, g), "", ""
    rows = g.op("Reshape", x.value, g.ints([0, groups, -1]))
    mean = g.op("ReduceMean", rows, axes=[2], keepdims=1)
    centred = g.op("Sub", rows, mean)
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axes=[2], keepdims=1)
    inverse = g.op("Reciprocal", g.op("Sqrt", g.op("Add", variance, g.floats(float(call["eps"])))))
    y = g.view(g.op("Mul", centred, inverse), sizes_of(x))
    for name, operator in (("weight", "Mul"), ("bias", "Add")):
        if call[name]:
            y = g.op(operator, y, _channels(g, call[name].value, x.rank))
    return y, g.op("Squeeze", mean, g.ints([2])), g.op("Squeeze", inverse, g.ints([2]))


def _group_norm_alone(call: Call, g: Writer) -> Value:
    """Where nothing reads the statistics, as torch's exporters write it: instance normalisation of the groups."""
    x, groups = call["input"], int(call["group"])
    rows = g.op("Reshape", x.value, g.ints([0, groups, -1]))
    ones, zeros = g.floats([1.0] * groups), g.floats([0.0] * groups)
    normal = g.view(g.op("InstanceNormalization", rows, ones, zeros, epsilon=float(call["eps"])), sizes_of(x))
    for name, operator in (("weight", "Mul"), ("bias", "Add")):
        if call[name]:
            normal = g.op(operator, normal, _channels(g, call[name].value, x.rank))
    return normal


@translates("native_group_norm_backward")
def group_norm_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_group_norm_backward(grad_out, input, mean, rstd, weight, N, C, HxW, group, output_mask)."""
    x, gradient, groups = call["input"], call["grad_out"], int(call["group"])
    in_groups = g.ints([0, groups, -1])
    mean, inverse = (g.op("Unsqueeze", call[name].value, g.ints([2])) for name in ("mean", "rstd"))
    normal = g.op("Mul", g.op("Sub", g.op("Reshape", x.value, in_groups), mean), inverse)
    scaled = gradient.value
    if call["weight"]:
        scaled = g.op("Mul", scaled, _channels(g, call["weight"].value, x.rank))
    dx = _through_normalised(g, g.op("Reshape", scaled, in_groups), normal, inverse, [2])
    axes: list[int] = [axis for axis in range(x.rank) if axis != 1]
    dweight = g.sum(g.op("Mul", gradient.value, g.view(normal, sizes_of(x))), axes)
    return g.view(dx, sizes_of(x)), dweight, g.sum(gradient.value, axes)


@translates("_weight_norm_interface")
def weight_norm(call: Call, g: Writer) -> tuple[Value, ...]:
    """_weight_norm_interface(v, g, dim=0) → v × g / |v|, |v|; the norm is over all axes but one."""
    v = call["v"]
    norm = g.op("ReduceL2", v.value, axes=_other_axes(call, v), keepdims=1)
    return g.op("Mul", v.value, g.op("Div", call["g"].value, norm)), norm


@translates("_weight_norm_interface_backward")
def weight_norm_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """_weight_norm_interface_backward(grad_w, saved_v, saved_g, saved_norms, dim) → dv, dg."""
    gradient, v, norm = call["grad_w"].value, call["saved_v"], call["saved_norms"].value
    axes = _other_axes(call, v)
    dg = g.op("Div", g.sum(g.op("Mul", gradient, v.value), axes, keepdims=True), norm)
    direction = g.op("Mul", v.value, g.op("Div", dg, norm))
    return g.op("Mul", g.op("Div", call["saved_g"].value, norm), g.op("Sub", gradient, direction)), dg


def _other_axes(call: Call, tensor: Tensor) -> list[int]:
    dim: Any = call["dim"]
    if dim < 0:
        raise UntranslatedError("over all axes")
    return [axis for axis in range(tensor.rank) if axis != dim]
