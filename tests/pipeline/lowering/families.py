"""Families of operators: what is promised to be lowered.

`docs/operators.md` is made from this list and the rules' docstrings (`operator_table.py`); `test_families.py` holds it
for the random cases of `cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor
from torch.nn import functional

from tests.pipeline.lowering.cases import (
    Attention,
    Case,
    Function,
    adaptive_pools,
    along_an_axis,
    attentions,
    average_pools,
    broadcasts,
    concats,
    convolutions,
    dense_layers,
    depthwise_convolutions,
    element_gathers,
    embeddings,
    encoder_layer,
    gathers,
    layer_norms,
    layouts,
    max_pools,
    mirrored_pads,
    on_any_shape,
    pads,
    pooled_convolutions,
    product_of_batches,
    product_with_itself,
    reductions,
    resizes,
    rms_norms,
    slices,
    splits,
    tensors,
    tiling_max_pools,
    transposed_convolutions,
    weight_products,
)


@dataclass(frozen=True)
class Family:
    """Operators that are tested together.

    Attributes:
      operators: of the model, by their ONNX names; the cases together have to contain each.
      covers: for the reader of the table.
      variants: each draws random cases.
      rules: operators of onnxruntime-training's graph; the cases together have to contain each.
      examples: how many cases are drawn of each variant.
    """

    operators: tuple[str, ...]
    covers: str
    variants: Mapping[str, SearchStrategy[Case]]
    rules: tuple[str, ...] = ()
    examples: int = 4


def each(
    strategy: Callable[[Any], SearchStrategy[Case]], functions: Mapping[str, Any]
) -> dict[str, SearchStrategy[Case]]:
    """A variant for each of the functions."""
    return {name: strategy(function) for name, function in functions.items()}


def only(strategy: SearchStrategy[Case]) -> dict[str, SearchStrategy[Case]]:
    """The one variant of a family."""
    return {"any": strategy}


ACTIVATIONS: dict[str, Function] = {
    "relu": torch.relu,
    "leaky": lambda x: functional.leaky_relu(x, 0.2),
    "relu6": lambda x: functional.relu6(x * 6),
    "clip": lambda x: x.clamp(-0.5, 0.7),
    "clip below": lambda x: x.clamp(min=0.1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "gelu by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "glu": lambda x: functional.glu(torch.cat([x, 2 * x], 1), 1),
}

ELEMENTWISE: dict[str, Function] = {
    "exp": torch.exp,
    "log": lambda x: torch.log(x * x + 0.5),
    "sqrt": lambda x: torch.sqrt(x * x + 0.5),
    "rsqrt": lambda x: torch.rsqrt(x * x + 0.5),
    "square": lambda x: x**2,
    "pow": lambda x: (x * x + 0.5) ** 1.5,
    "cube": lambda x: x**3,
    "abs": torch.abs,
    "neg": lambda x: -x,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "cast": lambda x: x * x.long(),
}

ARITHMETIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": lambda a, b: a / (b * b + 0.5),
    "pow": lambda a, b: (a * a + 0.5) ** b,
    "max": torch.maximum,
    "min": torch.minimum,
    "where": lambda a, b: torch.where(a > b, a, b * 2),
    "masked": lambda a, b: (a + b).masked_fill(a > b, 0.0),
}

LAYOUTS: dict[str, Callable[[Tensor, list[int]], Tensor]] = {
    "transpose": lambda x, order: x.permute(0, *order),
    "reshape": lambda x, _: x.reshape(x.shape[0], -1, x.shape[3]),
    "batch and channels merged": lambda x, _: torch.tanh(x.flatten(0, 1)).reshape(x.shape),
    "squeeze and unsqueeze": lambda x, order: x.sum(order[0], keepdim=True).squeeze(order[0]).unsqueeze(1),
    "expand": lambda x, _: x.sum(1, keepdim=True).expand(-1, 3, -1, -1),
    "tile": lambda x, _: x.repeat(1, 2, 1, 3),
    "flip": lambda x, order: x.flip(order[0]),
    "roll": lambda x, order: x.roll(1, order[1]),
    "triangles": lambda x, _: torch.tril(x, 1) + torch.triu(x) * 2,
    "stack": lambda x, order: torch.stack([x, torch.tanh(x)], order[2]),
}

REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "norm": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep),
    "log of summed exponentials": torch.logsumexp,
}

ELEMENTS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "largest": lambda x, axis, count: x.topk(count, axis)[0],
    # The first element as often as asked for.
    "by index": lambda x, axis, count: x.gather(axis, torch.zeros_like(x, dtype=torch.int64).narrow(axis, 0, count)),
}

RESIZES: dict[str, tuple[str, int]] = {
    "nearest, 1 axis": ("nearest", 1),
    "nearest, 2 axes": ("nearest", 2),
    "linear": ("linear", 1),
    "bilinear": ("bilinear", 2),
    "bicubic": ("bicubic", 2),
}

POOLS = {"average": functional.adaptive_avg_pool2d, "max": functional.adaptive_max_pool2d}

POOL_RULES = ("MaxPool", "MaxPoolGrad")

FAMILIES: dict[str, Family] = {
    "convolution": Family(
        ("Conv",),
        "1 to 3 axes; any stride, padding, dilation, groups; depthwise",
        {"any": convolutions(), "depthwise": depthwise_convolutions()},
        ("Conv", "ConvGrad"),
        30,
    ),
    "transposed convolution": Family(
        ("ConvTranspose",),
        "1 and 2 axes; any stride, padding, output padding, dilation, groups",
        only(transposed_convolutions()),
        ("ConvTransposeGrad",),
        30,
    ),
    "max pooling": Family(
        ("MaxPool",),
        "1 to 3 axes; overlapping, padded, dilated, ceil_mode",
        {"overlapping": max_pools(), "tiling": tiling_max_pools()},
        POOL_RULES,
        20,
    ),
    "convolution, ReLU, max pooling": Family(
        ("Conv", "Relu", "MaxPool"),
        "in a row, where the windows tile: one matrix product",
        only(pooled_convolutions()),
        (),
        20,
    ),
    "average pooling": Family(
        ("AveragePool",),
        "1 to 3 axes; overlapping, padded, padding counted or not, ceil_mode",
        only(average_pools()),
        ("AveragePool", "AveragePoolGrad"),
        30,
    ),
    "pooling to a size": Family(
        ("GlobalAveragePool", "AveragePool", "MaxPool"),
        "to 1×1 and to factors of the size",
        each(adaptive_pools, POOLS),
        ("GlobalAveragePool",),
        8,
    ),
    "resize": Family(
        ("Resize",),
        "1 and 2 axes; nearest, linear, cubic; to a size or by a factor; corners aligned or not",
        each(lambda kind: resizes(*kind), RESIZES),
        ("Resize", "ResizeGrad"),
        10,
    ),
    "activation": Family(
        ("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "Erf"),
        "ReLU, leaky ReLU, ReLU6 and clips, sigmoid, tanh, GELU (also by tanh), SiLU, GLU",
        each(on_any_shape, ACTIVATIONS),
        (
            *("ReluGrad", "LeakyReluGrad", "SigmoidGrad", "TanhGrad", "Gelu", "GeluGrad", "QuickGelu", "QuickGeluGrad"),
            *("Clip", "GreaterOrEqual", "LessOrEqual", "And", "Sigmoid"),
        ),
    ),
    "softmax": Family(
        ("Softmax", "LogSoftmax"),
        "along any axis",
        each(along_an_axis, {"softmax": torch.softmax, "log softmax": torch.log_softmax}),
        ("SoftmaxGrad_13", "LogSoftmaxGrad_13"),
        8,
    ),
    "element by element": Family(
        ("Exp", "Log", "Sqrt", "Pow", "Abs", "Neg", "Erf", "Sin", "Cos", "Cast"),
        "exp, log, sqrt, 1/sqrt, powers, abs, neg, erf, sin, cos, casts",
        each(on_any_shape, ELEMENTWISE),
        (),
        3,
    ),
    "arithmetic": Family(
        ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where"),
        "with broadcasting of either side along any axes, the batch too",
        each(broadcasts, ARITHMETIC),
        ("DivGrad", "Add", "Mul", "Div"),
        8,
    ),
    "reduction": Family(
        ("ReduceSum", "ReduceMean", "ReduceL2", "ReduceLogSumExp"),
        "over any axes, kept or not",
        each(reductions, REDUCTIONS),
        ("Scale", "ReduceSum"),
        5,
    ),
    "concat": Family(
        ("Concat",), "along any axis, the batch too", only(concats()), ("ConcatTraining", "SplitTraining"), 12
    ),
    "split": Family(("Split",), "even and uneven, parts left unused", only(splits()), (), 10),
    "slice": Family(("Slice",), "any start, end and step", only(slices()), ("SliceGrad",), 12),
    "pad": Family(
        ("Pad",),
        "with a constant (negative padding cuts), by reflection, by repetition",
        {"constant": pads(), **each(mirrored_pads, {"reflected": "reflect", "repeated": "replicate"})},
        (),
        8,
    ),
    "gather": Family(("Gather",), "along any axis, by a list or one index", only(gathers()), ("GatherGrad",), 15),
    "gather of elements": Family(
        ("GatherElements", "TopK"),
        "along any axis, an element once or often",
        each(element_gathers, ELEMENTS),
        ("GatherElementsGrad",),
        6,
    ),
    "embedding": Family(("Gather",), "rows taken once, often or never", only(embeddings()), ("GatherGrad",), 8),
    "layout": Family(
        ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice", "Trilu"),
        "reshape, transpose, squeeze, unsqueeze, expand, tile, flip, roll, triangles, stack",
        each(layouts, LAYOUTS),
        ("Trilu", "Expand", "Transpose"),
        3,
    ),
    "matrix product": Family(
        ("MatMul",),
        "2 to 4 axes, the leading ones broadcast",
        {
            "with a weight": weight_products(),
            "with itself": tensors(2).map(lambda shape: Case(product_with_itself, shape)),
            "of batches": tensors(2, 2).map(lambda shape: Case(product_of_batches, shape)),
        },
        ("FusedMatMul",),
        8,
    ),
    "dense layer": Family(("Gemm", "MatMul"), "on 2 to 4 axes, with or without bias", only(dense_layers()), (), 12),
    "layer normalisation": Family(
        ("ReduceMean", "Sqrt"), "over the last axes", only(layer_norms()), ("LayerNormalizationGrad",), 12
    ),
    "RMS normalisation": Family(
        ("ReduceMean", "Pow"),
        "over the last axis",
        only(rms_norms()),
        ("SimplifiedLayerNormalization", "SimplifiedLayerNormalizationGrad"),
        6,
    ),
    "attention": Family(
        ("MatMul", "Softmax"),
        "torch's MultiheadAttention and TransformerEncoderLayer",
        each(attentions, {"attention": Attention, "encoder": encoder_layer}),
    ),
}
