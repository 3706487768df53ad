"""The operators of a forward graph of the ONNX standard in JAX, for float32 networks and what their shapes are made of.

What follows from shapes and constants alone is computed with numpy while JAX traces: `xp` is the library that computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import lax

Array = Any


@dataclass(frozen=True)
class Call:
    """A node that is computed: its attributes, how many outputs it has, and numpy or jax.numpy."""

    attributes: Mapping[str, Any]
    outputs: int
    xp: Any

    def get(self, name: str, default: Any) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)


Operator = Callable[..., Any]
OPERATORS: dict[str, Operator] = {}


def operator(name: str) -> Callable[[Operator], Operator]:
    """A decorator that makes of a function the operator of a name."""

    def register(function: Operator) -> Operator:
        OPERATORS[name] = function
        return function

    return register


def call_of(node: onnx.NodeProto, inputs: Sequence[Array]) -> Call:
    """A node and its inputs, ready to be computed."""
    static = all(value is None or isinstance(value, np.ndarray | np.generic) for value in inputs)
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return Call(attributes, len(node.output), np if static else jnp)


def _elementwise(name: str, function: Callable[..., Array]) -> None:
    OPERATORS[name] = lambda call, *inputs: function(call.xp, *inputs)


_elementwise("Add", lambda xp, a, b: xp.add(a, b))
_elementwise("Sub", lambda xp, a, b: xp.subtract(a, b))
_elementwise("Mul", lambda xp, a, b: xp.multiply(a, b))
_elementwise("Div", lambda xp, a, b: a // b if np.issubdtype(a.dtype, np.integer) else xp.divide(a, b))
_elementwise("Pow", lambda xp, a, b: xp.power(a, b))
_elementwise("Equal", lambda xp, a, b: xp.equal(a, b))
_elementwise("Where", lambda xp, c, a, b: xp.where(c, a, b))
_elementwise("Neg", lambda xp, x: -x)
_elementwise("Abs", lambda xp, x: xp.abs(x))
_elementwise("Sqrt", lambda xp, x: xp.sqrt(x))
_elementwise("Exp", lambda xp, x: xp.exp(x))
_elementwise("Log", lambda xp, x: xp.log(x))
_elementwise("Tanh", lambda xp, x: xp.tanh(x))
_elementwise("Identity", lambda xp, x: x)
_elementwise("Max", lambda xp, a, b: xp.maximum(a, b))
_elementwise("Min", lambda xp, a, b: xp.minimum(a, b))
_elementwise("Erf", lambda xp, x: lax.erf(x))
_elementwise("Relu", lambda xp, x: jax.nn.relu(x))
_elementwise("Sigmoid", lambda xp, x: jax.nn.sigmoid(x))
_elementwise("Softplus", lambda xp, x: jax.nn.softplus(x))
_elementwise("HardSwish", lambda xp, x: x * jnp.clip(x / 6 + 0.5, 0, 1))
_elementwise("MatMul", lambda xp, a, b: xp.matmul(a, b))


@operator("HardSigmoid")
def hard_sigmoid(call: Call, x: Array) -> Array:
    return jnp.clip(x * call.get("alpha", 0.2) + call.get("beta", 0.5), 0, 1)


@operator("LeakyRelu")
def leaky_relu(call: Call, x: Array) -> Array:
    return jax.nn.leaky_relu(x, call.get("alpha", 0.01))


@operator("Clip")
def clip(call: Call, x: Array, low: Array = None, high: Array = None) -> Array:
    return call.xp.clip(x, low, high)


@operator("Softmax")
def softmax(call: Call, x: Array) -> Array:
    return jax.nn.softmax(x, call.get("axis", -1))


@operator("LogSoftmax")
def log_softmax(call: Call, x: Array) -> Array:
    return jax.nn.log_softmax(x, call.get("axis", -1))


@operator("Gemm")
def gemm(call: Call, a: Array, b: Array, c: Array = None) -> Array:
    a, b = (a.T if call.get("transA", 0) else a), (b.T if call.get("transB", 0) else b)
    product = call.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + call.get("beta", 1.0) * c


@operator("Conv")
def conv(call: Call, x: Array, weight: Array, bias: Array = None) -> Array:
    axes = weight.ndim - 2
    result = lax.conv_general_dilated(
        x,
        weight,
        call.get("strides", [1] * axes),
        _padding(call, axes),
        rhs_dilation=call.get("dilations", [1] * axes),
        dimension_numbers=("NCHW", "OIHW", "NCHW") if axes == 2 else None,
        feature_group_count=call.get("group", 1),
    )
    return result if bias is None else result + bias.reshape(1, -1, *[1] * axes)


@operator("MaxPool")
def max_pool(call: Call, x: Array) -> Array:
    return _pooled(call, x, -jnp.inf, lax.max)


@operator("AveragePool")
def average_pool(call: Call, x: Array) -> Array:
    counted = jnp.ones_like(x)
    if call.get("count_include_pad", 0):
        return _pooled(call, x, 0.0, lax.add) / np.prod(call.attributes["kernel_shape"])
    return _pooled(call, x, 0.0, lax.add) / _pooled(call, counted, 0.0, lax.add)


@operator("GlobalAveragePool")
def global_average_pool(call: Call, x: Array) -> Array:
    return x.mean(tuple(range(2, x.ndim)), keepdims=True)


def _pooled(call: Call, x: Array, start: float, reduce: Any) -> Array:
    kernel = call.attributes["kernel_shape"]
    if call.get("ceil_mode", 0):
        raise NotImplementedError("pooling with ceil_mode")
    strides, padding = call.get("strides", [1] * len(kernel)), _padding(call, len(kernel))
    return lax.reduce_window(x, start, reduce, (1, 1, *kernel), (1, 1, *strides), [(0, 0), (0, 0), *padding])


def _padding(call: Call, axes: int) -> list[tuple[int, int]]:
    if call.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise NotImplementedError("auto_pad")
    pads = call.get("pads", [0] * 2 * axes)
    return list(zip(pads[:axes], pads[axes:], strict=True))


@operator("LayerNormalization")
def layer_normalization(call: Call, x: Array, scale: Array, bias: Array = None) -> Array:
    axes = tuple(range(call.get("axis", -1) % x.ndim, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    normal = centred * lax.rsqrt((centred * centred).mean(axes, keepdims=True) + call.get("epsilon", 1e-5))
    return normal * scale if bias is None else normal * scale + bias


@operator("ReduceMean")
def reduce_mean(call: Call, x: Array) -> Array:
    return x.mean(_axes(call.get("axes", None)), keepdims=bool(call.get("keepdims", 1)))


@operator("ReduceSum")
def reduce_sum(call: Call, x: Array, axes: Array = None) -> Array:
    return x.sum(_axes(axes), keepdims=bool(call.get("keepdims", 1)))


def _axes(axes: Any) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(axis) for axis in axes)


@operator("Constant")
def constant(call: Call) -> Array:
    return onnx.numpy_helper.to_array(call.attributes["value"])


@operator("ConstantOfShape")
def constant_of_shape(call: Call, shape: Array) -> Array:
    value = onnx.numpy_helper.to_array(call.attributes["value"]) if "value" in call.attributes else np.zeros(1, "f4")
    return np.full(tuple(shape), value[0], value.dtype)


@operator("Shape")
def shape(call: Call, x: Array) -> Array:
    return np.array(x.shape[call.get("start", 0) : call.get("end", None)], np.int64)


@operator("Cast")
def cast(call: Call, x: Array) -> Array:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(call.attributes["to"])
    # JAX has 32 bits unless it is told otherwise.
    return x.astype(dtype if call.xp is np else jax.dtypes.canonicalize_dtype(dtype))


@operator("Reshape")
def reshape(call: Call, x: Array, shape: Array) -> Array:
    return x.reshape([x.shape[axis] if size == 0 else int(size) for axis, size in enumerate(shape)])


@operator("Flatten")
def flatten(call: Call, x: Array) -> Array:
    axis = call.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


@operator("Transpose")
def transpose(call: Call, x: Array) -> Array:
    return x.transpose(call.get("perm", None))


@operator("Squeeze")
def squeeze(call: Call, x: Array, axes: Array = None) -> Array:
    return x.squeeze(_axes(axes))


@operator("Unsqueeze")
def unsqueeze(call: Call, x: Array, axes: Array) -> Array:
    return call.xp.expand_dims(x, _axes(axes))


@operator("Expand")
def expand(call: Call, x: Array, shape: Array) -> Array:
    return call.xp.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int(size) for size in shape)))


@operator("Concat")
def concat(call: Call, *inputs: Array) -> Array:
    return call.xp.concatenate(inputs, call.attributes["axis"])


@operator("Split")
def split(call: Call, x: Array, sizes: Array = None) -> tuple[Array, ...]:
    axis = call.get("axis", 0)
    parts = call.outputs if sizes is None else np.cumsum(sizes)[:-1]
    return tuple(call.xp.split(x, parts, axis))


@operator("Gather")
def gather(call: Call, x: Array, indices: Array) -> Array:
    return call.xp.take(x, indices, call.get("axis", 0))


@operator("Slice")
def sliced(call: Call, x: Array, starts: Array, ends: Array, axes: Array = None, steps: Array = None) -> Array:
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    cuts = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cuts[int(axis)] = slice(int(start), int(end), int(step))
    return x[tuple(cuts)]


@operator("OneHot")
def one_hot(call: Call, indices: Array, depth: Array, values: Array) -> Array:
    off, on = values
    return off + (on - off) * jax.nn.one_hot(indices, int(depth), axis=call.get("axis", -1))
