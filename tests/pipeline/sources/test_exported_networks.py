"""Files of torch's new exporter train as the torch modules that they came from: 20 steps of Adam, losses to 1e-3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.recipe import Optimizer
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages
from tests.pipeline.sources.exported import CLASSES, SIDE, module_of, train_beside_torch, write

PIXELS = picture(SIDE, SIDE, 1)
Layers = Any

CONV = "c = Conv<pads=[1,1,1,1]>(x, conv_weight, conv_bias) "
POOL = "p = GlobalAveragePool({0}) f = Flatten({0}p) "
HEAD = "logits = Gemm<transB=1>({0}, head_weight, head_bias)"
POOLED_HEAD = " p = GlobalAveragePool({0}) f = Flatten(p) " + HEAD.format("f")


@dataclass(frozen=True)
class Case:
    """A network as the exporter writes it and as torch runs it."""

    body: str
    layers: Callable[[], nn.ModuleDict]
    forward: Callable[[Layers, Tensor], Tensor]
    opset: int = 18
    numbers: dict[str, Any] | None = None


def conv_and(head: int = 6, **more: nn.Module) -> nn.ModuleDict:
    return module_of(3, conv=nn.Conv2d(1, 6, 3, padding=1), **more, head=nn.Linear(head, CLASSES))


def zero_bias(module: nn.ModuleDict) -> nn.ModuleDict:
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return module


def conv_then(activation: Callable[[Layers, Tensor], Tensor]) -> Callable[[Layers, Tensor], Tensor]:
    def forward(m: Layers, x: Tensor) -> Tensor:
        result: Tensor = m["head"](activation(m, m["conv"](x)).mean((2, 3)))
        return result

    return forward


GROUP_NUMBERS = {
    "val_shape": [0, 3, -1],
    "val_5": np.ones(3, np.float32),
    "val_6": np.zeros(3, np.float32),
    "val_axes": [1, 2],
    "val_back": [-1, 6, SIDE, SIDE],
}
GROUP = """ g = Reshape({0}, val_shape) n = InstanceNormalization(g, val_5, val_6) r = Reshape(n, val_back)
    w = Unsqueeze(norm_weight, val_axes) b = Unsqueeze(norm_bias, val_axes) m = Mul(r, w) y = Add(m, b) """

ATTENTION_NUMBERS = {
    "val_4": np.float32(6**-0.25),
    "val_9": np.array([[0.0, -np.inf]], np.float32),
    "val_tokens": [0, 6, SIDE * SIDE],
}
ATTENTION = """ s = Reshape(c, val_tokens) t = Transpose<perm=[0,2,1]>(s)
    ln = LayerNormalization<axis=-1>(t, norm_weight, norm_bias)
    q0 = MatMul(ln, q_t) q = Add(q0, q_bias) k0 = MatMul(ln, k_t) k = Add(k0, k_bias)
    v0 = MatMul(ln, v_t) v = Add(v0, v_bias)
    qs = Mul(q, val_4) kt = Transpose<perm=[0,2,1]>(k) ks = Mul(kt, val_4) w = MatMul(qs, ks) a = Softmax<axis=-1>(w)
    o = MatMul(a, v) u = Add(t, o) """
MEAN = " f = ReduceMean<keepdims=0>({0}, val_one_axis) "


class Held(nn.Module):
    """One tensor as a parameter."""

    def __init__(self, *shape: int, value: float | None = None) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(shape) * 0.1 if value is None else torch.full(shape, value))


class Linear(nn.Module):
    """A dense layer whose weight is stored as MatMul takes it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.randn(inputs, outputs) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.t + self.bias


def attention(m: Layers, x: Tensor) -> Tensor:
    t = m["conv"](x).flatten(2).transpose(1, 2)
    ln = m["norm"](t)
    q, k, v = (m[name](ln) for name in "qkv")
    u = t + torch.softmax(q @ k.transpose(1, 2) / math.sqrt(6), -1) @ v
    result: Tensor = m["head"](u.mean(1))
    return result


def two_norms(m: Layers, x: Tensor) -> Tensor:
    h = m["first"](m["enter"](x.flatten(1)))
    h = m["second"](m["middle"](h).relu())
    result: Tensor = m["head"](h)
    return result


def recurrent(m: Layers, x: Tensor) -> Tensor:
    h = torch.zeros(len(x), 5)
    for row in range(4):
        h = torch.tanh(m["enter"](x[:, 0, row]) + m["again"](h))
    result: Tensor = m["head"](h)
    return result


UNROLLED = "s = Squeeze(x, val_channel) h0 = Expand(val_zero, val_hidden) " + "".join(
    f"i{r} = Gather<axis=1>(s, val_row{r}) a{r} = Gemm<transB=1>(i{r}, enter_weight, enter_bias) "
    f"b{r} = Gemm<transB=1>(h{r}, again_weight, again_bias) c{r} = Add(a{r}, b{r}) h{r + 1} = Tanh(c{r}) "
    for r in range(4)
)


def gated(m: Layers, x: Tensor) -> Tensor:
    h = torch.tanh(m["enter"](x[:, 0, 0]))
    for row in range(1, 4):
        z = torch.sigmoid(m["gate"](x[:, 0, row]))
        h = (1 - z) * torch.tanh(m["enter"](x[:, 0, row])) + z * h
    result: Tensor = m["head"](h)
    return result


GATED = "s = Squeeze(x, val_channel) " + "".join(
    f"i{r} = Gather<axis=1>(s, val_row{r}) e{r} = Gemm<transB=1>(i{r}, enter_weight, enter_bias) n{r} = Tanh(e{r}) "
    + (
        "h0 = Identity(n0) "
        if not r
        else f"g{r} = Gemm<transB=1>(i{r}, gate_weight, gate_bias) z{r} = Sigmoid(g{r}) k{r} = Sub(val_1, z{r}) "
        f"a{r} = Mul(k{r}, n{r}) b{r} = Mul(z{r}, h{r - 1}) h{r} = Add(a{r}, b{r}) "
    )
    for r in range(4)
)
ROWS = {f"val_row{r}": r for r in range(4)} | {"val_channel": [1]}
NORMALISED = """ d = ReduceMean({0}, val_last) e = Sub({0}, d) q = Mul(e, e) v = ReduceMean(q, val_last)
    w = Add(v, val_eps) sd = Sqrt(w) z = Div(e, sd) """


def dense(**more: nn.Module) -> nn.ModuleDict:
    return module_of(4, enter=nn.Linear(SIDE * SIDE, 6), **more, head=nn.Linear(6, CLASSES))


def dense_then(middle: Callable[[Layers, Tensor], Tensor]) -> Callable[[Layers, Tensor], Tensor]:
    def forward(m: Layers, x: Tensor) -> Tensor:
        result: Tensor = m["head"](middle(m, m["enter"](x.flatten(1))))
        return result

    return forward


DENSE = "f = Flatten(x) h = Gemm<transB=1>(f, enter_weight, enter_bias) "

CASES: dict[str, Case] = {
    "convolution": Case(CONV + "y = Relu(c)" + POOLED_HEAD.format("y"), conv_and, conv_then(lambda m, c: c.relu())),
    "convolutions of equal biases": Case(
        CONV + "r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, more_weight, more_bias)" + POOLED_HEAD.format("y"),
        lambda: zero_bias(conv_and(more=nn.Conv2d(6, 6, 3, padding=1))),
        conv_then(lambda m, c: m["more"](c.relu())),
    ),
    "transposed convolution": Case(
        CONV + "y = ConvTranspose<strides=[2,2]>(c, up_weight, up_bias)" + POOLED_HEAD.format("y"),
        lambda: conv_and(up=nn.ConvTranspose2d(6, 6, 2, stride=2)),
        conv_then(lambda m, c: m["up"](c)),
    ),
    "group normalisation": Case(
        CONV + GROUP.format("c") + "k = Relu(y)" + POOLED_HEAD.format("k"),
        lambda: conv_and(norm=nn.GroupNorm(3, 6)),
        conv_then(lambda m, c: m["norm"](c).relu()),
        numbers=GROUP_NUMBERS,
    ),
    "group normalisation of as many groups": Case(
        CONV + GROUP.format("c") + "k = Relu(y)" + POOLED_HEAD.format("k"),
        lambda: conv_and(norm=nn.GroupNorm(6, 6)),
        conv_then(lambda m, c: m["norm"](c).relu()),
        numbers=GROUP_NUMBERS
        | {"val_shape": [0, 6, -1], "val_5": np.ones(6, np.float32), "val_6": np.zeros(6, np.float32)},
    ),
    "group normalisation as an operator": Case(
        CONV + "y = GroupNormalization<num_groups=3>(c, norm_weight, norm_bias) k = Relu(y)" + POOLED_HEAD.format("k"),
        lambda: conv_and(norm=nn.GroupNorm(3, 6)),
        conv_then(lambda m, c: m["norm"](c).relu()),
        opset=21,
    ),
    "instance normalisation without scale": Case(
        CONV + "y = InstanceNormalization(c, val_1, val_2) k = Relu(y)" + POOLED_HEAD.format("k"),
        conv_and,
        conv_then(lambda m, c: F.instance_norm(c).relu()),
        numbers={"val_1": np.ones(6, np.float32), "val_2": np.zeros(6, np.float32)},
    ),
    "instance normalisation": Case(
        CONV + "y = InstanceNormalization(c, norm_weight, norm_bias) k = Relu(y)" + POOLED_HEAD.format("k"),
        lambda: conv_and(norm=nn.InstanceNorm2d(6, affine=True)),
        conv_then(lambda m, c: m["norm"](c).relu()),
    ),
    "attention": Case(
        CONV + ATTENTION + MEAN.format("u") + HEAD.format("f"),
        lambda: conv_and(norm=nn.LayerNorm(6), q=Linear(6, 6), k=Linear(6, 6), v=Linear(6, 6)),
        attention,
        numbers=ATTENTION_NUMBERS | {"val_one_axis": [1]},
    ),
    "a token before those of each image": Case(
        CONV
        + """ s = Reshape(c, val_tokens) t = Transpose<perm=[0,2,1]>(s) n = Shape<start=0,end=1>(x)
        z = Concat<axis=0>(n, val_rest) k = Expand(token_own, z) u = Concat<axis=1>(k, t) """
        + MEAN.format("u")
        + HEAD.format("f"),
        lambda: conv_and(token=Held(1, 1, 6)),
        lambda m, x: m["head"](
            torch.cat([m["token"].own.expand(len(x), -1, -1), m["conv"](x).flatten(2).transpose(1, 2)], 1).mean(1)
        ),
        numbers={"val_tokens": [0, 6, SIDE * SIDE], "val_rest": [1, 6], "val_one_axis": [1]},
    ),
    "interpolation by scales": Case(
        CONV
        + 'y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(c, , val_3) k = Relu(y)'
        + POOLED_HEAD.format("k"),
        conv_and,
        conv_then(lambda m, c: F.interpolate(c, scale_factor=2, mode="bilinear").relu()),
        numbers={"val_3": np.array([1, 1, 2, 2], np.float32)},
    ),
    "nearest interpolation": Case(
        CONV
        + 'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(c, , val_3)'
        + " k = Relu(y)"
        + POOLED_HEAD.format("k"),
        conv_and,
        conv_then(lambda m, c: F.interpolate(c, scale_factor=2).relu()),
        numbers={"val_3": np.array([1, 1, 2, 2], np.float32)},
    ),
    "two layer normalisations": Case(
        DENSE + "a = LayerNormalization<axis=-1>(h, first_weight, first_bias) "
        "b = Gemm<transB=1>(a, middle_weight, middle_bias)"
        " c = Relu(b) d = LayerNormalization<axis=-1>(c, second_weight, second_bias) " + HEAD.format("d"),
        lambda: zero_bias(dense(first=nn.LayerNorm(6), middle=nn.Linear(6, 6), second=nn.LayerNorm(6))),
        two_norms,
    ),
    "layer normalisation in parts": Case(
        DENSE + NORMALISED.format("h") + "a = Mul(z, norm_weight) b = Add(a, norm_bias) " + HEAD.format("b"),
        lambda: dense(norm=nn.LayerNorm(6)),
        dense_then(lambda m, h: m["norm"](h)),
        numbers={"val_last": [-1], "val_eps": np.float32(1e-5)},
    ),
    "layer normalisation without scale": Case(
        DENSE + "b = LayerNormalization<axis=-1>(h, val_1) " + HEAD.format("b"),
        dense,
        dense_then(lambda m, h: F.layer_norm(h, (6,))),
        numbers={"val_1": np.ones(6, np.float32)},
    ),
    "gelu": Case(DENSE + "b = Gelu(h) " + HEAD.format("b"), dense, dense_then(lambda m, h: F.gelu(h)), opset=20),
    "gelu in parts": Case(
        DENSE + "a = Div(h, val_1) e = Erf(a) o = Add(e, val_2) p = Mul(h, o) b = Mul(p, val_3) " + HEAD.format("b"),
        dense,
        dense_then(lambda m, h: F.gelu(h)),
        numbers={"val_1": np.float32(math.sqrt(2)), "val_2": np.float32(1), "val_3": np.float32(0.5)},
    ),
    "learned temperature": Case(
        DENSE + "a = Relu(h) l = Gemm<transB=1>(a, head_weight, head_bias) e = Exp(scale_own) logits = Mul(l, e)",
        lambda: dense(scale=Held(value=0.5)),
        lambda m, x: m["head"](m["enter"](x.flatten(1)).relu()) * m["scale"].own.exp(),
    ),
    "embedding of positions and layer scale": Case(
        CONV
        + "s = Reshape(c, val_tokens) t = Transpose<perm=[0,2,1]>(s) u = Add(t, position_own) "
        + "r = Relu(u) k = Mul(r, gamma_own) "
        + MEAN.format("k")
        + HEAD.format("f"),
        lambda: conv_and(position=Held(1, SIDE * SIDE, 6), gamma=Held(6, value=1.0)),
        lambda m, x: m["head"](
            ((m["conv"](x).flatten(2).transpose(1, 2) + m["position"].own).relu() * m["gamma"].own).mean(1)
        ),
        numbers={"val_tokens": [0, 6, SIDE * SIDE], "val_one_axis": [1]},
    ),
    "normalised pixels": Case(
        "a = Sub(x, mean) b = Div(a, std) c = Conv<pads=[1,1,1,1]>(b, conv_weight, conv_bias) y = Relu(c)"
        + POOLED_HEAD.format("y"),
        conv_and,
        lambda m, x: m["head"](m["conv"]((x - 0.4) / 0.3).relu().mean((2, 3))),
        numbers={"mean": np.full((1, 1, 1, 1), 0.4, np.float32), "std": np.full((1, 1, 1, 1), 0.3, np.float32)},
    ),
    "parametric relu": Case(
        CONV + "w = Unsqueeze(slope_weight, val_axes) y = PRelu(c, w)" + POOLED_HEAD.format("y"),
        lambda: conv_and(slope=nn.PReLU(6)),
        conv_then(lambda m, c: m["slope"](c)),
        numbers={"val_axes": [1, 2]},
    ),
    "weight normalisation": Case(
        DENSE + "a = Relu(h) n = ReduceL2(v_own, val_last) u = Div(v_own, n) w = Mul(u, g_own) "
        "logits = Gemm<transB=1>(a, w, head_bias)",
        lambda: dense(v=Held(CLASSES, 6), g=Held(CLASSES, 1, value=1.0)),
        lambda m, x: F.linear(
            m["enter"](x.flatten(1)).relu(),
            m["g"].own * m["v"].own / m["v"].own.norm(dim=1, keepdim=True),
            m["head"].bias,
        ),
        numbers={"val_last": [1]},
    ),
    "unrolled recurrence": Case(
        UNROLLED + HEAD.format("h4"),
        lambda: module_of(5, enter=nn.Linear(SIDE, 5), again=nn.Linear(5, 5), head=nn.Linear(5, CLASSES)),
        recurrent,
        numbers=ROWS | {"val_zero": np.zeros((1, 5), np.float32), "val_hidden": [1, 5]},
    ),
    "unrolled gates of equal biases": Case(
        GATED + HEAD.format("h3"),
        lambda: zero_bias(module_of(5, enter=nn.Linear(SIDE, 5), gate=nn.Linear(SIDE, 5), head=nn.Linear(5, CLASSES))),
        gated,
        numbers=ROWS | {"val_1": np.float32(1)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_the_new_exporter_trains_as_in_torch(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    module = case.layers()
    path = write(tmp_path / "net.onnx", module, case.body, case.opset, **(case.numbers or {}))
    source = find_model(str(path))
    recipe = replace(recipe_of(source, PIXELS), optimizer=Optimizer("adam"))
    folder = stages.build(source, recipe, PIXELS, CLASSES, tmp_path)
    read = {tensor for tensor, value in module.named_parameters() if tensor.replace(".", "_") in case.body}
    assert sum(p.size for p in read_model(folder).parameters) == sum(
        value.numel() for tensor, value in module.named_parameters() if tensor in read
    )
    train_beside_torch(folder, module, lambda image: case.forward(module, image))
