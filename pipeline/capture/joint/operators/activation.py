"""Activations and their gradients."""

from __future__ import annotations

import math

import numpy as np

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.graphs.graph import Value


@translates("relu")
def relu(call: Call, g: Writer) -> Value:
    """relu(self): of integers too, which the runtime's Relu has not."""
    tensor = call["self"]
    if not tensor.dtype.is_floating_point:
        return g.op("Max", tensor.value, g.number(0, tensor.dtype))
    return g.op("Relu", tensor.value)


@translates("threshold_backward")
def threshold_backward(call: Call, g: Writer) -> Value:
    """threshold_backward(grad_output, self, threshold): of relu, with a threshold of 0."""
    gradient, x = call["grad_output"].value, call["self"].value
    if call["threshold"] == 0:
        return g.op("ReluGrad", gradient, x)
    return g.op("Where", g.op("Greater", x, g.floats(call["threshold"])), gradient, g.floats(0.0))


@translates("threshold")
def threshold(call: Call, g: Writer) -> Value:
    """threshold(self, threshold, value) → self above the threshold, else the value."""
    x = call["self"].value
    return g.op("Where", g.op("Greater", x, g.floats(call["threshold"])), x, g.floats(call["value"]))


@translates("hardtanh")
def hardtanh(call: Call, g: Writer) -> Value:
    """hardtanh(self, min_val=-1, max_val=1); relu6 is one."""
    return g.op("Clip", call["self"].value, g.floats(call["min_val"]), g.floats(call["max_val"]))


@translates("hardtanh_backward")
def hardtanh_backward(call: Call, g: Writer) -> Value:
    """hardtanh_backward(grad_output, self, min_val, max_val): where self is between the bounds, not at one."""
    low, high = (float(np.float32(call[name])) for name in ("min_val", "max_val"))
    return g.where_between(call["self"].value, low, high, call["grad_output"].value)


@translates("leaky_relu")
def leaky_relu(call: Call, g: Writer) -> Value:
    """leaky_relu(self, negative_slope=0.01)."""
    return g.op("LeakyRelu", call["self"].value, alpha=float(call["negative_slope"]))


@translates("leaky_relu_backward")
def leaky_relu_backward(call: Call, g: Writer) -> Value:
    """leaky_relu_backward(grad_output, self, negative_slope, self_is_result)."""
    gradient, x = call["grad_output"].value, call["self"].value
    return g.op("LeakyReluGrad", gradient, x, alpha=float(call["negative_slope"]))


@translates("_prelu_kernel")
def prelu(call: Call, g: Writer) -> Value:
    """_prelu_kernel(self, weight): weight broadcasts to self."""
    return g.op("PRelu", call["self"].value, call["weight"].value)


@translates("_prelu_kernel_backward")
def prelu_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """_prelu_kernel_backward(grad_output, self, weight) → dself, dweight of self's shape."""
    gradient, x, weight = (call[name].value for name in ("grad_output", "self", "weight"))
    above, zero = g.op("Greater", x, g.floats(0.0)), g.floats(0.0)
    return (
        g.op("Where", above, gradient, g.op("Mul", gradient, weight)),
        g.op("Where", above, zero, g.op("Mul", gradient, x)),
    )


@translates("elu")
def elu(call: Call, g: Writer) -> Value:
    """elu(self, alpha=1, scale=1, input_scale=1); selu and celu are such."""
    x, zero = call["self"].value, g.floats(0.0)
    alpha, scale, rate = (float(call[name]) for name in ("alpha", "scale", "input_scale"))
    if scale == rate == 1.0:
        return g.op("Elu", x, alpha=alpha)
    above = g.op("Greater", x, zero)
    power = g.op("Exp", g.op("Mul", g.op("Where", above, zero, x), g.floats(rate)))
    below = g.op("Mul", g.op("Sub", power, g.floats(1.0)), g.floats(alpha * scale))
    return g.op("Where", above, g.op("Mul", x, g.floats(scale)), below)


@translates("elu_backward")
def elu_backward(call: Call, g: Writer) -> Value:
    """elu_backward(grad_output, alpha, scale, input_scale, is_result, self_or_result)."""
    gradient, x = call["grad_output"].value, call["self_or_result"].value
    alpha, scale, rate = (float(call[name]) for name in ("alpha", "scale", "input_scale"))
    above, zero = g.op("Greater", x, g.floats(0.0)), g.floats(0.0)
    if call["is_result"]:
        below = g.op("Mul", g.op("Add", x, g.floats(alpha * scale)), g.floats(rate))
    else:
        power = g.op("Exp", g.op("Mul", g.op("Where", above, zero, x), g.floats(rate)))
        below = g.op("Mul", power, g.floats(alpha * scale * rate))
    return g.op("Mul", gradient, g.op("Where", above, g.floats(scale), below))


@translates("sigmoid_backward")
def sigmoid_backward(call: Call, g: Writer) -> Value:
    """sigmoid_backward(grad_output, output)."""
    return g.op("SigmoidGrad", call["grad_output"].value, call["output"].value)


@translates("tanh_backward")
def tanh_backward(call: Call, g: Writer) -> Value:
    """tanh_backward(grad_output, output)."""
    return g.op("TanhGrad", call["grad_output"].value, call["output"].value)


@translates("gelu")
def gelu(call: Call, g: Writer) -> Value:
    """gelu(self, approximate='none')."""
    x = call["self"].value
    if call["approximate"] == "none":
        error = g.op("Erf", g.op("Mul", x, g.floats(1 / math.sqrt(2))))
        return g.op("Mul", x, g.op("Mul", g.op("Add", error, g.floats(1.0)), g.floats(0.5)))
    return g.op("Mul", g.op("Mul", x, g.floats(0.5)), g.op("Add", g.floats(1.0), _tanh_of_gelu(x, g)))


@translates("gelu_backward")
def gelu_backward(call: Call, g: Writer) -> Value:
    """gelu_backward(grad_output, self, approximate='none')."""
    gradient, x = call["grad_output"].value, call["self"].value
    if call["approximate"] == "none":
        return g.op("GeluGrad", gradient, x)
    tanh, one, half = _tanh_of_gelu(x, g), g.floats(1.0), g.floats(0.5)
    factor = math.sqrt(2 / math.pi)
    inner = g.op("Add", g.floats(factor), g.op("Mul", g.op("Mul", x, x), g.floats(3 * 0.044715 * factor)))
    slope = g.op("Mul", g.op("Sub", one, g.op("Mul", tanh, tanh)), inner)
    share = g.op("Add", g.op("Add", one, tanh), g.op("Mul", x, slope))
    return g.op("Mul", gradient, g.op("Mul", share, half))


def _tanh_of_gelu(x: Value, g: Writer) -> Value:
    cube = g.op("Mul", g.op("Mul", g.op("Mul", x, x), x), g.floats(0.044715))
    return g.op("Tanh", g.op("Mul", g.op("Add", x, cube), g.floats(math.sqrt(2 / math.pi))))


@translates("silu")
def silu(call: Call, g: Writer) -> Value:
    """silu(self) → self × sigmoid(self)."""
    return g.op("Mul", call["self"].value, g.op("Sigmoid", call["self"].value))


@translates("silu_backward")
def silu_backward(call: Call, g: Writer) -> Value:
    """silu_backward(grad_output, self)."""
    return g.op("QuickGeluGrad", call["grad_output"].value, call["self"].value, alpha=1.0)


@translates("hardsigmoid")
def hardsigmoid(call: Call, g: Writer) -> Value:
    """hardsigmoid(self) → (self + 3) / 6 between 0 and 1."""
    return g.op("HardSigmoid", call["self"].value, alpha=1 / 6, beta=0.5)


@translates("hardsigmoid_backward")
def hardsigmoid_backward(call: Call, g: Writer) -> Value:
    """hardsigmoid_backward(grad_output, self): a sixth where self is between −3 and 3."""
    return g.op("Mul", call["grad_output"].value, g.op("Where", _within(call["self"].value, g), *_sixth(g)))


@translates("hardswish")
def hardswish(call: Call, g: Writer) -> Value:
    """hardswish(self) → self × hardsigmoid(self). Howard et al., arXiv:1905.02244."""
    return g.op("HardSwish", call["self"].value)


@translates("hardswish_backward")
def hardswish_backward(call: Call, g: Writer) -> Value:
    """hardswish_backward(grad_output, self): 0 up to −3, 1 from 3 on, self / 3 + 1/2 between."""
    return g.op("HardSwishGrad", call["grad_output"].value, call["self"].value)


def _within(x: Value, g: Writer) -> Value:
    return g.op("And", g.op("Greater", x, g.floats(-3.0)), g.op("Less", x, g.floats(3.0)))


def _sixth(g: Writer) -> tuple[Value, Value]:
    return g.floats(1 / 6), g.floats(0.0)


@translates("softplus")
def softplus(call: Call, g: Writer) -> Value:
    """softplus(self, beta=1, threshold=20) → log(1 + e^(beta × self)) / beta, self itself above the threshold."""
    x, beta = call["self"].value, float(call["beta"])
    scaled = g.op("Mul", x, g.floats(beta))
    soft = g.op("Mul", g.op("Softplus", scaled), g.floats(1 / beta))
    return g.op("Where", g.op("Greater", scaled, g.floats(float(call["threshold"]))), x, soft)


@translates("softplus_backward")
def softplus_backward(call: Call, g: Writer) -> Value:
    """softplus_backward(grad_output, self, beta, threshold)."""
    scaled = g.op("Mul", call["self"].value, g.floats(float(call["beta"])))
    above = g.op("Greater", scaled, g.floats(float(call["threshold"])))
    return g.op("Mul", call["grad_output"].value, g.op("Where", above, g.floats(1.0), g.op("Sigmoid", scaled)))


@translates("mish")
def mish(call: Call, g: Writer) -> Value:
    """mish(self) → self × tanh(softplus(self)). Misra, arXiv:1908.08681."""
    return g.op("Mul", call["self"].value, g.op("Tanh", g.op("Softplus", call["self"].value)))


@translates("mish_backward")
def mish_backward(call: Call, g: Writer) -> Value:
    """mish_backward(grad_output, self): t + self × sigmoid(self) × (1 − t²), t = tanh(softplus(self))."""
    x = call["self"].value
    t = g.op("Tanh", g.op("Softplus", x))
    slope = g.op("Mul", g.op("Sigmoid", x), g.op("Sub", g.floats(1.0), g.op("Mul", t, t)))
    return g.op("Mul", call["grad_output"].value, g.op("Add", t, g.op("Mul", x, slope)))


@translates("log_sigmoid_forward")
def log_sigmoid(call: Call, g: Writer) -> tuple[Value, ...]:
    """log_sigmoid_forward(self) → −softplus(−self), and a buffer that is not read here."""
    return g.op("Neg", g.op("Softplus", g.op("Neg", call["self"].value))), call["self"].value


@translates("log_sigmoid_backward")
def log_sigmoid_backward(call: Call, g: Writer) -> Value:
    """log_sigmoid_backward(grad_output, self, buffer)."""
    return g.op("Mul", call["grad_output"].value, g.op("Sigmoid", g.op("Neg", call["self"].value)))


@translates("hardshrink", "softshrink")
def shrink(call: Call, g: Writer) -> Value:
    """hardshrink(self, lambd=0.5): 0 within ±lambd; softshrink moves the rest by lambd towards 0."""
    limit = float(call["lambd"])
    return g.op("Shrink", call["self"].value, lambd=limit, bias=limit if call.name == "softshrink" else 0.0)


@translates("hardshrink_backward", "softshrink_backward")
def shrink_backward(call: Call, g: Writer) -> Value:
    """hardshrink_backward(grad_out, self, lambd); softshrink's has the same slope."""
    gradient = call.get("grad_output") or call["grad_out"]
    outside = g.op("Greater", g.op("Abs", call["self"].value), g.floats(float(call["lambd"])))
    return g.op("Where", outside, gradient.value, g.floats(0.0))


@translates("glu")
def glu(call: Call, g: Writer) -> Value:
    """glu(self, dim=-1) → the first half × sigmoid of the second."""
    first, second = _halves(call, g)
    return g.op("Mul", first, g.op("Sigmoid", second))


@translates("glu_backward")
def glu_backward(call: Call, g: Writer) -> Value:
    """glu_backward(grad_output, self, dim)."""
    first, second = _halves(call, g)
    gradient, sigmoid = call["grad_output"].value, g.op("Sigmoid", second)
    of_first = g.op("Mul", gradient, sigmoid)
    of_second = g.op("Mul", g.op("Mul", of_first, first), g.op("Sub", g.floats(1.0), sigmoid))
    return g.op("Concat", of_first, of_second, axis=call.axis("dim", call["self"]))


def _halves(call: Call, g: Writer) -> tuple[Value, ...]:
    axis = call.axis("dim", call["self"])
    half = call["self"].static(axis) // 2
    return g.ops("Split", call["self"].value, g.ints([half, half]), outputs=2, axis=axis)
