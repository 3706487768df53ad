"""Functions of single elements, comparisons and logic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.sweep.case import Case, function


def _pointwise(operation: Callable[[Tensor], Tensor], refused: str = "") -> Case:
    return function(operation, 4, 5, refused=refused)


def _of_two(operation: Callable[[Tensor, Tensor], Tensor], refused: str = "") -> Case:
    """Of two halves, of which the second is broadcast and not 0."""
    return function(lambda x: operation(x[:, :2], x[:, 2:3] + 1.5), 4, 5, refused=refused)


def _special(x: Tensor) -> Tensor:
    """Some elements at −1, 0 and 1, where gradients are a matter of choice."""
    return torch.cat([x, x[:, :3] * 0 + torch.tensor([-1.0, 0.0, 1.0]).view(3, 1)], 1)


def _whole(x: Tensor) -> Tensor:
    """Whole numbers from −4 to 4, int64."""
    return (x * 4).round().long()


def _short(x: Tensor, dtype: torch.dtype) -> Tensor:
    """What ONNX Runtime computes of int32 alone."""
    whole = (x.abs() * 4).to(dtype)
    chosen = torch.where(whole > 1, whole, whole - 1).amax(1, keepdim=True)
    return x * (torch.maximum(whole * 2, whole.flip(1)) + chosen % 3) * (whole != 2)


POINTWISE: dict[str, Case] = {
    "abs": _pointwise(lambda x: torch.abs(_special(x))),
    "acos": _pointwise(lambda x: torch.acos(x * 0.9)),
    "acosh": _pointwise(lambda x: torch.acosh(x + 2.5)),
    "add": _pointwise(lambda x: torch.add(x, x[:, :1], alpha=0.5) + 1),
    "add, in place": _pointwise(lambda x: (x * 2).add_(1).mul_(x).sub_(0.5).div_(2)),
    "addcdiv": _pointwise(lambda x: torch.addcdiv(x, x, x + 3, value=0.5)),
    "addcmul": _pointwise(lambda x: torch.addcmul(x, x, x[:, :1], value=2)),
    "asin": _pointwise(lambda x: torch.asin(x * 0.9)),
    "asinh": _pointwise(lambda x: torch.asinh(x * 3)),
    "atan": _pointwise(torch.atan),
    "atan2": _of_two(lambda a, b: torch.atan2(a, b - 1.5)),
    "atanh": _pointwise(lambda x: torch.atanh(x * 0.9)),
    "bitwise_and": _pointwise(
        lambda x: x * (_whole(x) & 3),
        refused="bitwise_and of integers; of bits compute with // and %, or compare and use bool",
    ),
    "bitwise_and, of bool": _pointwise(lambda x: x * ((x > 0) & (x < 0.5) | ~(x > -0.5))),
    "bitwise_left_shift": _pointwise(lambda x: x * (_whole(x).abs() << 2)),
    "bitwise_not": _pointwise(lambda x: x * ~_whole(x)),
    "bitwise_or": _pointwise(
        lambda x: x * (_whole(x) | 1),
        refused="bitwise_or of integers; of bits compute with // and %, or compare and use bool",
    ),
    "bitwise_right_shift": _pointwise(lambda x: x * (_whole(x) >> 1)),
    "bitwise_xor": _pointwise(
        lambda x: x * (_whole(x) ^ 5),
        refused="bitwise_xor of integers; of bits compute with // and %, or compare and use bool",
    ),
    "bool": _pointwise(lambda x: x * _whole(x).bool()),
    "ceil": _pointwise(lambda x: torch.ceil(x) + x),
    "clamp": _pointwise(lambda x: torch.clamp(_special(x), -1, 0.5)),
    "clamp, by tensors": _of_two(lambda a, b: torch.clamp(a * 2, -b, b)),
    "clamp, from below": _pointwise(lambda x: _special(x).clamp(min=0)),
    "clamp, from above": _pointwise(lambda x: _special(x).clamp_max_(0)),
    "clamp, from below by a tensor": _of_two(lambda a, b: torch.clamp(a * 2, min=b)),
    "clip": _pointwise(lambda x: x.clip(-0.1, 0.1)),
    "copysign": _of_two(lambda a, b: torch.copysign(b, a)),
    "cos": _pointwise(torch.cos),
    "cosh": _pointwise(torch.cosh),
    "deg2rad": _pointwise(lambda x: torch.deg2rad(x * 90)),
    "digamma": _pointwise(lambda x: torch.digamma(x * 3 + 0.5)),
    "div": _of_two(torch.div),
    "div, floor": _of_two(lambda a, b: a + torch.div(a, b, rounding_mode="floor")),
    "div, trunc": _of_two(lambda a, b: a + torch.div(a * 4, b, rounding_mode="trunc")),
    "div, of integers": _pointwise(lambda x: x * (_whole(x) / 3)),
    "eq": _pointwise(lambda x: x * (_whole(x) == 1) + x * (x == x[:, :1])),
    "erf": _pointwise(torch.erf),
    "erfc": _pointwise(lambda x: torch.erfc(x * 2)),
    "erfinv": _pointwise(lambda x: torch.erfinv(x * 0.999)),
    "exp": _pointwise(torch.exp),
    "exp2": _pointwise(torch.exp2),
    "expm1": _pointwise(torch.expm1),
    "expm1, near 0": _pointwise(lambda x: torch.expm1(x * 1e-5) * 1e5),
    "float_power": _pointwise(lambda x: torch.float_power(x + 2, 1.5).float()),
    "floor": _pointwise(lambda x: torch.floor(x) + x),
    "floor_divide": _of_two(
        lambda a, b: a + a // b, refused="torch has no gradient of floor_divide: give it what is detached (x.detach())"
    ),
    "floor_divide, of what is stopped": _of_two(lambda a, b: a + a.detach() // b.detach()),
    "floor_divide, of integers": _pointwise(lambda x: x * (_whole(x) // 3) + x * (7 // (_whole(x).abs() + 1))),
    "fmax": _of_two(lambda a, b: torch.fmax(a, b - 1.5)),
    "fmin": _of_two(lambda a, b: torch.fmin(a, b - 1.5)),
    "fmod": _of_two(lambda a, b: torch.fmod(a * 5, b)),
    "fmod, of integers": _pointwise(lambda x: x * torch.fmod(_whole(x), 3)),
    "frac": _pointwise(lambda x: torch.frac(x * 3)),
    "ge": _pointwise(lambda x: x * (x >= 0)),
    "gradient": _pointwise(lambda x: torch.gradient(x, dim=2)[0]),
    "gt": _pointwise(lambda x: x * torch.gt(x, x[:, :1]).float()),
    "half": _pointwise(lambda x: x.half().float() + x),
    "heaviside": _pointwise(lambda x: x * torch.heaviside(x.detach(), torch.tensor(0.5))),
    "hypot": _of_two(torch.hypot),
    "igamma": _of_two(
        lambda a, b: torch.igamma(b.detach(), a + 2),
        refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp",
    ),
    "i0": _pointwise(
        torch.i0, refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp"
    ),
    "isclose": _pointwise(lambda x: x * torch.isclose(x, x[:, :1], atol=0.1)),
    "isfinite": _pointwise(lambda x: torch.where(torch.isfinite(1 / x), x, 0)),
    "isinf": _pointwise(lambda x: torch.where(torch.isinf(1 / x), 0, x)),
    "isnan": _pointwise(lambda x: torch.where(torch.isnan(x), 0, x)),
    "isposinf": _pointwise(lambda x: torch.where(torch.isposinf(x), 0, x)),
    "ldexp": _pointwise(lambda x: torch.ldexp(x, torch.tensor(2))),
    "le": _pointwise(lambda x: x.masked_fill(x <= 0, 0.25)),
    "lerp": _of_two(lambda a, b: torch.lerp(a, b, 0.3)),
    "lerp, by a tensor": _of_two(lambda a, b: torch.lerp(a, b, torch.sigmoid(a))),
    "lgamma": _pointwise(lambda x: torch.lgamma(x * 3 + 0.5)),
    "log": _pointwise(lambda x: torch.log(x + 2)),
    "log10": _pointwise(lambda x: torch.log10(x + 2)),
    "log1p": _pointwise(lambda x: torch.log1p(x * 0.9)),
    "log1p, near 0": _pointwise(lambda x: torch.log1p(x * 1e-5) * 1e5),
    "log2": _pointwise(lambda x: torch.log2(x + 2)),
    "logaddexp": _of_two(torch.logaddexp),
    "logaddexp2": _of_two(torch.logaddexp2),
    "logical_and": _pointwise(lambda x: x * torch.logical_and(x > 0, _whole(x))),
    "logical_not": _pointwise(lambda x: x * torch.logical_not(_whole(x))),
    "logical_or": _pointwise(lambda x: x * torch.logical_or(x > 0, x < -0.5)),
    "logical_xor": _pointwise(lambda x: x * torch.logical_xor(x > 0, x > 0.5)),
    "logit": _pointwise(lambda x: torch.logit(x, eps=1e-2)),
    "lt": _pointwise(lambda x: x * (x < 0.0)),
    "maximum": _of_two(lambda a, b: torch.maximum(a, b - 1.5)),
    "maximum, of ties": _pointwise(lambda x: torch.maximum(_special(x), torch.zeros(()))),
    "minimum": _of_two(lambda a, b: torch.minimum(a, b - 1.5)),
    "minimum, of ties": _pointwise(lambda x: torch.minimum(_special(x), torch.ones(()))),
    "mul": _of_two(torch.mul),
    "multigammaln": _pointwise(lambda x: torch.special.multigammaln(x + 3, 2)),
    "nan_to_num": _pointwise(lambda x: torch.nan_to_num(x / (x > 0), nan=0.5, posinf=0, neginf=1)),
    "ne": _pointwise(lambda x: x * (_whole(x) != 0)),
    "neg": _pointwise(lambda x: -x),
    "nextafter": _of_two(torch.nextafter, refused="it has no gradient: add a small number"),
    "polygamma": _pointwise(
        lambda x: torch.polygamma(1, x + 2), refused="only digamma and its derivative polygamma(1, x) have one"
    ),
    "positive": _pointwise(lambda x: torch.positive(x)),
    "pow": _pointwise(lambda x: x**2 + x**3 + (x + 2) ** 0.5 + (x + 2) ** -1),
    "pow, of 0": _pointwise(lambda x: _special(x) ** 2 + _special(x) ** 3),
    "pow, of a number": _pointwise(lambda x: 2**x + torch.pow(0.5, x)),
    "pow, of tensors": _of_two(lambda a, b: torch.pow(b, a)),
    "pow, of integers": _pointwise(lambda x: x * _whole(x) ** 2),
    "rad2deg": _pointwise(torch.rad2deg),
    "reciprocal": _pointwise(lambda x: torch.reciprocal(x + 2)),
    "remainder": _of_two(lambda a, b: torch.remainder(a * 5, b) + (a * 5) % 2),
    "remainder, of integers": _pointwise(lambda x: x * torch.remainder(_whole(x), 3)),
    "remainder, by an integer tensor": _pointwise(lambda x: x * (_whole(x) % (_whole(x).abs() + 1))),
    "round": _pointwise(lambda x: torch.round(x * 4) + x),
    "round, to decimals": _pointwise(lambda x: torch.round(x, decimals=1) + x),
    "rsqrt": _pointwise(lambda x: torch.rsqrt(x + 2)),
    "rsub": _pointwise(lambda x: torch.rsub(x, 1.5) - (3 - x)),
    "sgn": _pointwise(lambda x: torch.sgn(_special(x)) + _special(x)),
    "sigmoid": _pointwise(lambda x: x.clone().sigmoid_()),
    "sign": _pointwise(lambda x: torch.sign(_special(x)) + _special(x)),
    "signbit": _pointwise(lambda x: x * torch.signbit(x)),
    "sin": _pointwise(torch.sin),
    "sinc": _pointwise(lambda x: torch.sinc(_special(x))),
    "sinh": _pointwise(torch.sinh),
    "sqrt": _pointwise(lambda x: torch.sqrt(x + 2)),
    "square": _pointwise(lambda x: torch.square(x)),
    "sub": _of_two(lambda a, b: torch.sub(a, b, alpha=2)),
    "tan": _pointwise(torch.tan),
    "tanh": _pointwise(torch.tanh),
    "trunc": _pointwise(lambda x: torch.trunc(x * 3) + x),
    "where": _of_two(lambda a, b: torch.where(a > 0, a, b)),
    "where, of numbers": _pointwise(lambda x: x * torch.where(x > 0, 1.0, 0.5) + torch.where(x > 0, x, 0.1)),
    "xlogy": _of_two(lambda a, b: torch.xlogy(a, b)),
    "xlog1py": _of_two(lambda a, b: torch.special.xlog1py(a, b)),
    "entr": _pointwise(lambda x: torch.special.entr(x + 1.5)),
    "expit": _pointwise(torch.special.expit),
    "log_ndtr": _pointwise(
        torch.special.log_ndtr,
        refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp",
    ),
    "ndtr": _pointwise(torch.special.ndtr),
    "ndtri": _pointwise(
        lambda x: torch.special.ndtri(torch.sigmoid(x)),
        refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp",
    ),
    "erfcx": _pointwise(
        torch.special.erfcx,
        refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp",
    ),
    "zeta": _pointwise(
        lambda x: torch.special.zeta(torch.full_like(x, 2.0), x.detach() + 2) + x,
        refused="the standard has no such function: compute it from those that it has, as erf, lgamma and exp",
    ),
    "double": _pointwise(lambda x: (x.double() * 2).float()),
    "bfloat16": _pointwise(
        lambda x: x.bfloat16().float(), refused="in the type torch.bfloat16; use one of torch.float32"
    ),
    "uint8, computed": _pointwise(lambda x: _short(x, torch.uint8)),
    "int8, computed": _pointwise(lambda x: _short(x, torch.int8)),
    "int16": _pointwise(lambda x: _short(x, torch.int16)),
    "int": _pointwise(lambda x: x * (x * 3).int()),
    "uint8": _pointwise(lambda x: x * (x.abs() * 9).to(torch.uint8)),
    "int8": _pointwise(lambda x: x * (x * 9).to(torch.int8)),
    "type_as": _pointwise(lambda x: x + _whole(x).type_as(x)),
    "data of another": _pointwise(lambda x: x + x.data * x.detach()),
}
