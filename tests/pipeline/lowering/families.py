"""Families of operators: what is promised to be lowered, and how to draw random cases of it.

`docs/operators.md` is made from this list and the rules' docstrings (`operator_table.py`); `test_families.py` holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from torch import Tensor, nn
from torch.nn import functional

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A function of one image of `shape` (without the batch)."""

    function: Function
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Family:
    """Operators that are tested together.

    Attributes:
      operators: of the model, by their ONNX names; the cases together have to contain each.
      covers: for the reader of the table.
      cases: draws random cases.
      rules: operators of onnxruntime-training's graph; the cases together have to contain each.
      examples: how many cases are drawn.
    """

    operators: tuple[str, ...]
    covers: str
    cases: SearchStrategy[Case]
    rules: tuple[str, ...] = ()
    examples: int = 12


def ints(low: int, high: int) -> SearchStrategy[int]:
    """A number from `low` to `high`, both included."""
    return st.integers(low, high)


def sizes(count: int, low: int, high: int) -> SearchStrategy[tuple[int, ...]]:
    """`count` numbers."""
    return st.tuples(*[ints(low, high)] * count)


@st.composite
def tensors(draw: DrawFn, low: int = 1, high: int = 3) -> tuple[int, ...]:
    """The shape of an image of one to three axes."""
    return draw(sizes(draw(ints(low, high)), 2, 5))


@st.composite
def unary(draw: DrawFn, functions: dict[str, Function]) -> Case:
    """One of the functions on any shape."""
    name = draw(st.sampled_from(sorted(functions)))
    return Case(functions[name], draw(tensors()))


@st.composite
def convolutions(draw: DrawFn) -> Case:
    """Convolution over one to three axes."""
    axes = draw(ints(1, 3))
    groups = draw(ints(1, 3))
    channels, outputs = groups * draw(ints(1, 2)), groups * draw(ints(1, 3))
    size = draw(sizes(axes, 4, 9 if axes < 3 else 5))
    kernel, stride, padding, dilation = (draw(sizes(axes, low, high)) for low, high in ((1, 4), (1, 3), (0, 3), (1, 2)))
    assume(all((k - 1) * d < s + 2 * p for k, d, s, p in zip(kernel, dilation, size, padding, strict=True)))
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    bias = draw(st.booleans())
    layer = kind(channels, outputs, kernel, stride, padding, dilation, groups, bias)  # type: ignore[arg-type]
    return Case(layer, (channels, *size))


@st.composite
def transposed_convolutions(draw: DrawFn) -> Case:
    """Transposed convolution over one or two axes."""
    axes = draw(ints(1, 2))
    groups = draw(ints(1, 3))
    channels, outputs = groups * draw(ints(1, 2)), groups * draw(ints(1, 3))
    size = draw(sizes(axes, 2, 6))
    kernel, stride, padding, dilation = (draw(sizes(axes, low, high)) for low, high in ((1, 4), (1, 3), (0, 2), (1, 3)))
    extra = tuple(draw(ints(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    lengths = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(size, stride, padding, dilation, kernel, extra, strict=True)
    ]
    assume(min(lengths) > 0)
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
    bias = draw(st.booleans())
    layer = kind(channels, outputs, kernel, stride, padding, extra, groups, bias, dilation)  # type: ignore[arg-type]
    return Case(layer, (channels, *size))


@st.composite
def max_pools(draw: DrawFn) -> Case:
    """Max pooling over one to three axes: overlapping, padded, dilated, with a last window that is cut."""
    axes = draw(ints(1, 3))
    kernel, stride, dilation = (draw(sizes(axes, low, high)) for low, high in ((1, 3), (1, 3), (1, 2)))
    padding = tuple(draw(ints(0, k // 2)) for k in kernel)
    size = draw(sizes(axes, 5, 8 if axes < 3 else 5))
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    layer = kind(kernel, stride, padding, dilation, ceil_mode=draw(st.booleans()))  # type: ignore[arg-type]
    return Case(layer, (2, *size))


@st.composite
def tiling_max_pools(draw: DrawFn) -> Case:
    """Max pooling whose windows tile the input, over one to three axes."""
    axes = draw(ints(1, 3))
    window, count = draw(sizes(axes, 1, 3)), draw(sizes(axes, 1, 3))
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    size = (k * n for k, n in zip(window, count, strict=True))
    return Case(kind(window), (2, *size))  # type: ignore[arg-type]


@st.composite
def pooled_convolutions(draw: DrawFn) -> Case:
    """Convolution, ReLU and max pooling in a row, most of them fused."""
    kernel, window, count = (draw(sizes(2, 1, 3)) for _ in range(3))
    padding = draw(st.sampled_from([0, 0, 0, 1]))
    size = tuple(k - 1 + w * n - 2 * padding for k, w, n in zip(kernel, window, count, strict=True))
    assume(min(size) > 0)
    conv = nn.Conv2d(2, draw(ints(1, 3)), kernel, padding=padding, bias=draw(st.booleans()))  # type: ignore[arg-type]
    pool = nn.MaxPool2d(window)  # type: ignore[arg-type]
    layers = draw(st.sampled_from([(conv, nn.ReLU(), pool), (conv, pool, nn.ReLU()), (conv, pool)]))
    return Case(nn.Sequential(*layers), (2, *size))


@st.composite
def average_pools(draw: DrawFn) -> Case:
    """Average pooling over one to three axes."""
    axes = draw(ints(1, 3))
    kernel, stride = draw(sizes(axes, 1, 3)), draw(sizes(axes, 1, 3))
    padding = tuple(draw(ints(0, k // 2)) for k in kernel)
    size = draw(sizes(axes, 4, 8 if axes < 3 else 5))
    kind = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[axes - 1]
    with_pads = draw(st.booleans())
    layer = kind(kernel, stride, padding, draw(st.booleans()), with_pads)  # type: ignore[arg-type]
    return Case(layer, (2, *size))


@st.composite
def adaptive_pools(draw: DrawFn) -> Case:
    """Pooling to a given size, 1×1 first of all."""
    outputs, factors = draw(sizes(2, 1, 2)), draw(sizes(2, 1, 4))
    function = draw(st.sampled_from([functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d]))
    # A global maximum pool has a rule of its own nowhere: torch exports it as MaxPool only where the size is a factor.
    return Case(lambda x: function(x, outputs), (2, *(o * f for o, f in zip(outputs, factors, strict=True))))


@st.composite
def resizes(draw: DrawFn) -> Case:
    """Interpolation to a size or by a factor."""
    axes = draw(ints(1, 2))
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"] if axes == 2 else ["nearest", "linear"]))
    names = {"linear": "linear" if axes == 1 else "bilinear", "cubic": "bicubic", "nearest": "nearest"}
    size = draw(sizes(axes, 2, 6))
    aligned = {} if mode == "nearest" else {"align_corners": draw(st.booleans())}
    to_size = draw(st.booleans())
    wanted = {"size": draw(sizes(axes, 1, 9))} if to_size else {"scale_factor": draw(st.sampled_from([2, 1.5, 3, 0.6]))}
    return Case(lambda x: functional.interpolate(x, mode=names[mode], **wanted, **aligned), (2, *size))


@st.composite
def broadcasts(draw: DrawFn, functions: dict[str, Callable[[Tensor, Tensor], Tensor]]) -> Case:
    """Two tensors of which one may lack axes, or have size 1 along some, the batch too."""
    function = functions[draw(st.sampled_from(sorted(functions)))]
    shape = draw(tensors())
    axes = draw(st.lists(ints(0, len(shape)), unique=True, max_size=len(shape)))
    keep = draw(st.booleans()) or any(axis != position for position, axis in enumerate(sorted(axes)))
    swapped = draw(st.booleans())

    def apply(x: Tensor) -> Tensor:
        other = (x.mean(axes, keepdim=keep) if axes else torch.tanh(x)) + 0.5
        return function(other, x) if swapped else function(x, other)

    return Case(apply, shape)


@st.composite
def reductions(draw: DrawFn) -> Case:
    """Sum and mean over any axes but the batch, and over all of them."""
    function = draw(st.sampled_from([torch.sum, torch.mean]))
    shape = draw(tensors(2))
    axes = draw(st.lists(ints(1, len(shape)), unique=True, min_size=1))
    keep = draw(st.booleans())
    return Case(lambda x: function(x, axes, keep), shape)


@st.composite
def along_an_axis(draw: DrawFn, *functions: Callable[[Tensor, int], Tensor]) -> Case:
    """A function along any axis but the batch, counted from the front or the back."""
    function = draw(st.sampled_from(functions))
    shape = draw(tensors())
    axis = draw(st.sampled_from([*range(1, len(shape) + 1), *range(-len(shape), 0)]))
    return Case(lambda x: function(x, axis), shape)


@st.composite
def concats(draw: DrawFn) -> Case:
    """Concat of two to three along any axis, the batch too."""
    count, shape = draw(ints(2, 3)), draw(tensors())
    axis = draw(ints(0, len(shape)))

    def apply(x: Tensor) -> Tensor:
        parts = [x * (number + 1) if number else x for number in range(count)]
        joined = torch.cat(parts, axis)
        return joined if axis else joined.unflatten(0, (count, x.shape[0])).sum(0)

    return Case(apply, shape)


@st.composite
def splits(draw: DrawFn) -> Case:
    """Split into uneven parts, not all of them used."""
    shape = draw(tensors())
    axis = draw(ints(1, len(shape)))
    first = draw(ints(1, shape[axis - 1] - 1))
    used = draw(st.sampled_from([(0,), (1,), (0, 1)]))

    def apply(x: Tensor) -> Tensor:
        parts = torch.split(x, [first, x.shape[axis] - first], axis)
        return torch.cat([torch.tanh(parts[index]) for index in used], axis)

    return Case(apply, shape)


@st.composite
def slices(draw: DrawFn) -> Case:
    """Slices with start, end and step along every axis."""
    shape = draw(tensors())
    starts = [draw(ints(0, size - 1)) for size in shape]
    cuts = [slice(s, draw(ints(s + 1, size)), draw(ints(1, 2))) for s, size in zip(starts, shape, strict=True)]
    return Case(lambda x: x[(slice(None), *cuts)], shape)


@st.composite
def pads(draw: DrawFn) -> Case:
    """Constant padding of any axis but the batch; negative padding cuts."""
    shape = draw(tensors())
    amounts = [amount for _ in shape for amount in draw(st.tuples(ints(-1, 2), ints(0, 2)))]
    value = draw(st.sampled_from([0.0, 1.5]))
    return Case(lambda x: functional.pad(x, amounts, value=value), shape)


@st.composite
def gathers(draw: DrawFn) -> Case:
    """Rows, columns and single elements taken by index along any axis; an index may come twice."""
    shape = draw(tensors())
    axis = draw(ints(1, len(shape)))
    indices = torch.tensor(draw(st.lists(ints(0, shape[axis - 1] - 1), min_size=1, max_size=5)))
    single = draw(st.booleans())
    return Case(lambda x: x.select(axis, int(indices[0])) if single else x.index_select(axis, indices), shape)


@st.composite
def element_gathers(draw: DrawFn) -> Case:
    """`torch.gather` and the largest elements along an axis."""
    shape = draw(tensors(2))
    axis = draw(ints(1, len(shape)))
    count = draw(ints(1, shape[axis - 1]))
    if draw(st.booleans()):
        return Case(lambda x: x.topk(count, axis)[0], shape)
    # Each row repeats its first element.
    return Case(lambda x: x.gather(axis, torch.zeros_like(x, dtype=torch.int64).narrow(axis, 0, count)), shape)


@st.composite
def layouts(draw: DrawFn) -> Case:
    """Reshape, transpose, squeeze, unsqueeze, expand, tile and flip."""
    shape = draw(sizes(3, 2, 4))
    order = draw(st.permutations([1, 2, 3]))
    functions: list[Function] = [
        lambda x: x.permute(0, *order),
        lambda x: x.reshape(x.shape[0], -1, x.shape[3]),
        lambda x: x.flatten(0, 1).unflatten(0, (-1, shape[0])),
        lambda x: x.sum(2, keepdim=True).squeeze(2).unsqueeze(1),
        lambda x: x.sum(1, keepdim=True).expand(-1, 3, -1, -1),
        lambda x: x.repeat(1, 2, 1, 3),
        lambda x: x.flip(order[0]),
        lambda x: x.roll(1, order[1]),
        lambda x: torch.tril(x, 1) + torch.triu(x),
        lambda x: torch.stack([x, torch.tanh(x)], order[2]),
    ]
    index = draw(ints(0, len(functions) - 1))
    return Case(functions[index], shape)


@st.composite
def products(draw: DrawFn) -> Case:
    """Matrix products of two to four axes; the factors' leading axes broadcast."""
    shape = draw(tensors(2))
    inner = draw(ints(1, 4))
    leading = draw(st.sampled_from([(), (1,), shape[:-2]]))
    weight = nn.Parameter(torch.randn(*leading, shape[-1], inner))
    kind = draw(st.sampled_from(["weight", "self", "transposed batch"]))

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: Tensor) -> Tensor:
            if kind == "weight":
                return x @ self.weight
            moved = x.transpose(0, 1) if kind == "transposed batch" else x
            return (moved @ moved.transpose(-2, -1) / 8).transpose(0, 1 if kind == "transposed batch" else 0)

    return Case(Product(), shape)


@st.composite
def dense_layers(draw: DrawFn) -> Case:
    """Linear layers on two to four axes."""
    shape = draw(tensors())
    layer = nn.Linear(shape[-1], draw(ints(1, 5)), bias=draw(st.booleans()))
    return Case(nn.Sequential(layer, nn.Tanh()), shape)


@st.composite
def layer_norms(draw: DrawFn) -> Case:
    """Layer normalisation over the last axes."""
    shape = draw(tensors())
    normal = shape[draw(ints(0, len(shape) - 1)) :]
    layer = nn.LayerNorm(normal, elementwise_affine=draw(st.booleans()), eps=draw(st.sampled_from([1e-5, 1e-2])))
    return Case(layer, shape)


@st.composite
def rms_norms(draw: DrawFn) -> Case:
    """Normalisation by the root mean square of the last axis."""
    shape = draw(tensors())

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.rand(shape[-1]) + 0.5)

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3) * self.scale

    return Case(Norm(), shape)


@st.composite
def attentions(draw: DrawFn) -> Case:
    """Multi-head attention and a transformer's encoder layer."""
    heads, width = draw(ints(1, 2)), draw(ints(1, 3))
    shape = (draw(ints(1, 4)), heads * width)
    if draw(st.booleans()):
        return Case(nn.TransformerEncoderLayer(shape[1], heads, 5, 0.0, batch_first=True), shape)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(shape[1], heads, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            attended: Tensor = self.attention(x, x, x)[0]
            return attended

    return Case(Attention(), shape)


@st.composite
def embeddings(draw: DrawFn) -> Case:
    """An embedding of rounded values, of which many are equal."""
    shape = draw(tensors(1, 2))
    layer = nn.Embedding(4, draw(ints(1, 4)))

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = layer

        def forward(self, x: Tensor) -> Tensor:
            embedded: Tensor = self.embedding(x.abs().clamp(0, 3).long())
            # The values themselves go on, so that what is before them is trained too.
            return embedded * x.unsqueeze(-1)

    return Case(Embedded(), shape)


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
    "softsign": functional.softsign,
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
    "max": torch.maximum,
    "min": torch.minimum,
    "where": lambda a, b: torch.where(a > b, a, b * 2),
    "masked": lambda a, b: (a + b).masked_fill(a > b, 0.0),
}

POOL_RULES = ("MaxPool", "MaxPoolGrad")

FAMILIES: dict[str, Family] = {
    "convolution": Family(
        ("Conv",), "1 to 3 axes; any stride, padding, dilation, groups (depthwise)", convolutions(), ("ConvGrad",), 40
    ),
    "transposed convolution": Family(
        ("ConvTranspose",),
        "1 and 2 axes; any stride, padding, output padding, dilation, groups",
        transposed_convolutions(),
        ("ConvTransposeGrad",),
        30,
    ),
    "max pooling": Family(
        ("MaxPool",), "1 to 3 axes; overlapping, padded, dilated, ceil_mode", max_pools(), POOL_RULES, 25
    ),
    "max pooling, tiled": Family(("MaxPool",), "windows that tile the input", tiling_max_pools(), POOL_RULES, 15),
    "convolution, ReLU, max pooling": Family(
        ("Conv", "Relu", "MaxPool"), "in a row: one matrix product per window position", pooled_convolutions(), (), 20
    ),
    "average pooling": Family(
        ("AveragePool",),
        "1 to 3 axes; overlapping, padded, padding counted or not, ceil_mode",
        average_pools(),
        ("AveragePoolGrad",),
        25,
    ),
    "pooling to a size": Family(
        ("GlobalAveragePool", "AveragePool", "MaxPool"), "to 1×1 and to factors of the size", adaptive_pools(), (), 12
    ),
    "resize": Family(
        ("Resize",),
        "1 and 2 axes; nearest, linear, cubic; to a size or by a factor; corners aligned or not",
        resizes(),
        ("ResizeGrad",),
        30,
    ),
    "activation": Family(
        ("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "Erf"),
        "ReLU, leaky ReLU, ReLU6 and clips, sigmoid, tanh, GELU (also by tanh), SiLU, GLU, softsign",
        unary(ACTIVATIONS),
        ("ReluGrad", "LeakyReluGrad", "SigmoidGrad", "TanhGrad", "Gelu", "GeluGrad", "QuickGelu", "QuickGeluGrad"),
        30,
    ),
    "softmax": Family(
        ("Softmax", "LogSoftmax"),
        "along any axis",
        along_an_axis(torch.softmax, torch.log_softmax),
        ("SoftmaxGrad_13", "LogSoftmaxGrad_13"),
        16,
    ),
    "element by element": Family(
        ("Exp", "Log", "Sqrt", "Pow", "Abs", "Neg", "Erf", "Sin", "Cos", "Cast", "Reciprocal"),
        "exp, log, sqrt, 1/sqrt, powers, abs, neg, erf, sin, cos, casts",
        unary(ELEMENTWISE),
        (),
        30,
    ),
    "arithmetic": Family(
        ("Add", "Sub", "Mul", "Div", "Max", "Min", "Where"),
        "with broadcasting of either side along any axes, the batch too",
        broadcasts(ARITHMETIC),
        ("DivGrad",),
        40,
    ),
    "reduction": Family(
        ("ReduceSum", "ReduceMean"), "over any axes, kept or not", reductions(), ("Scale",), 15
    ),
    "concat": Family(
        ("Concat",), "along any axis, the batch too", concats(), ("ConcatTraining", "SplitTraining"), 12
    ),
    "split": Family(("Split",), "even and uneven, parts left unused", splits(), (), 10),
    "slice": Family(("Slice",), "any start, end and step", slices(), ("SliceGrad",), 12),
    "pad": Family(("Pad",), "with a constant; negative padding cuts", pads(), (), 12),
    "gather": Family(("Gather",), "along any axis, by a list or one index", gathers(), ("GatherGrad",), 15),
    "gather of elements": Family(
        ("GatherElements", "TopK"), "along any axis", element_gathers(), ("GatherElementsGrad",), 15
    ),
    "embedding": Family(("Gather",), "rows taken once or often", embeddings(), ("GatherGrad",), 8),
    "layout": Family(
        ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice", "Trilu"),
        "reshape, transpose, squeeze, unsqueeze, expand, tile, flip, roll, triangles, stack",
        layouts(),
        ("Trilu",),
        30,
    ),
    "matrix product": Family(
        ("MatMul",), "2 to 4 axes, the leading ones broadcast", products(), ("FusedMatMul",), 25
    ),
    "dense layer": Family(("Gemm", "MatMul"), "on 2 to 4 axes, with or without bias", dense_layers(), (), 12),
    "layer normalisation": Family(
        ("ReduceMean", "Sqrt"), "over the last axes", layer_norms(), ("LayerNormalizationGrad",), 12
    ),
    "RMS normalisation": Family(
        ("ReduceMean", "Pow"),
        "over the last axis",
        rms_norms(),
        ("SimplifiedLayerNormalization", "SimplifiedLayerNormalizationGrad"),
        6,
    ),
    "attention": Family(
        ("MatMul", "Softmax"), "torch's MultiheadAttention and TransformerEncoderLayer", attentions(), (), 6
    ),
}
