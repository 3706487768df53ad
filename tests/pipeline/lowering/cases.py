"""Random cases of what a model may contain: a function of an image, of random shape and attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
def on_any_shape(draw: DrawFn, function: Function) -> Case:
    """A function of any shape."""
    return Case(function, draw(tensors()))


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
def depthwise_convolutions(draw: DrawFn) -> Case:
    """A kernel of its own for each channel: small images, large and narrow ones, which are lowered each otherwise."""
    channels = draw(ints(2, 4))
    kernel, stride, padding, dilation = (draw(sizes(2, low, high)) for low, high in ((1, 4), (1, 3), (0, 3), (1, 2)))
    least = [max((k - 1) * d + 1 - 2 * p, 1) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(draw(ints(low, low + more)) for low, more in zip(least, draw(sizes(2, 1, 15)), strict=True))
    bias = draw(st.booleans())
    layer = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias)  # type: ignore[arg-type]
    return Case(layer, (channels, *size))


@st.composite
def transposed_convolutions(draw: DrawFn) -> Case:
    """Transposed convolution over one or two axes."""
    axes = draw(ints(1, 2))
    groups = draw(ints(1, 3))
    channels, outputs = groups * draw(ints(1, 2)), groups * draw(ints(1, 3))
    size = draw(sizes(axes, 2, 6))
    kernel, stride, padding, dilation = (draw(sizes(axes, low, high)) for low, high in ((1, 4), (1, 3), (0, 2), (1, 3)))
    extra = tuple(draw(ints(0, s - 1)) for s in stride)
    lengths = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(size, stride, padding, dilation, kernel, extra, strict=True)
    ]
    assume(min(lengths) > 0)
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
    bias = draw(st.booleans())
    layer = kind(channels, outputs, kernel, stride, padding, extra, groups, bias, dilation)  # type: ignore[arg-type]
    return Case(layer, (channels, *size))


def starts_inside(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> bool:
    """Whether each axis' last window of ceil_mode starts in the image.

    torch drops one that does not, ONNX Runtime 1.19 keeps it: the host refuses such a model.
    """
    lasts = [-(-(n + 2 * p - k) // s) * s for n, p, k, s in zip(size, padding, kernel, stride, strict=True)]
    return all(last < n + p for last, n, p in zip(lasts, size, padding, strict=True))


@st.composite
def max_pools(draw: DrawFn) -> Case:
    """Max pooling over one to three axes: overlapping, padded, dilated, with a last window that is cut."""
    axes = draw(ints(1, 3))
    kernel, stride, dilation = (draw(sizes(axes, low, high)) for low, high in ((1, 3), (1, 3), (1, 2)))
    padding = tuple(draw(ints(0, k // 2)) for k in kernel)
    size = draw(sizes(axes, 5, 8 if axes < 3 else 5))
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    ceil_mode = draw(st.booleans())
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    assume(not ceil_mode or starts_inside(size, reach, stride, padding))
    layer = kind(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    return Case(layer, (2, *size))


@st.composite
def tiling_max_pools(draw: DrawFn) -> Case:
    """Max pooling whose windows tile the input, over one to three axes."""
    axes = draw(ints(1, 3))
    window, count = draw(sizes(axes, 1, 3)), draw(sizes(axes, 1, 3))
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    size = (k * n for k, n in zip(window, count, strict=True))
    return Case(kind(window), (2, *size))


@st.composite
def pooled_convolutions(draw: DrawFn) -> Case:
    """Convolution, ReLU and max pooling in a row, most of them fused."""
    kernel, window, count = (draw(sizes(2, 1, 3)) for _ in range(3))
    padding = draw(st.sampled_from([0, 0, 0, 1]))
    size = tuple(k - 1 + w * n - 2 * padding for k, w, n in zip(kernel, window, count, strict=True))
    assume(min(size) > 0)
    conv = nn.Conv2d(2, draw(ints(1, 3)), kernel, padding=padding, bias=draw(st.booleans()))  # type: ignore[arg-type]
    pool = nn.MaxPool2d(window)
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
    ceil_mode = draw(st.booleans())
    assume(not ceil_mode or starts_inside(size, kernel, stride, padding))
    layer = kind(kernel, stride, padding, ceil_mode, with_pads)  # type: ignore[arg-type]
    return Case(layer, (2, *size))


@st.composite
def adaptive_pools(draw: DrawFn, function: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Case:
    """Pooling to a size, which is a factor of the image's."""
    outputs, factors = draw(sizes(2, 1, 2)), draw(sizes(2, 1, 4))
    return Case(lambda x: function(x, outputs), (2, *(o * f for o, f in zip(outputs, factors, strict=True))))


@st.composite
def resizes(draw: DrawFn, mode: str, axes: int) -> Case:
    """Interpolation to a size or by a factor."""
    size = draw(sizes(axes, 2, 6))
    aligned = {} if mode == "nearest" else {"align_corners": draw(st.booleans())}
    to_size = draw(st.booleans())
    wanted = {"size": draw(sizes(axes, 1, 9))} if to_size else {"scale_factor": draw(st.sampled_from([2, 1.5, 3, 0.6]))}
    return Case(lambda x: functional.interpolate(x, mode=mode, **wanted, **aligned), (2, *size))


@st.composite
def broadcasts(draw: DrawFn, function: Callable[[Tensor, Tensor], Tensor]) -> Case:
    """Two tensors of which one may lack axes, or have size 1 along some, the batch too."""
    shape = draw(tensors())
    axes = draw(st.lists(ints(0, len(shape)), unique=True, max_size=len(shape)))
    keep = draw(st.booleans()) or any(axis != position for position, axis in enumerate(sorted(axes)))
    swapped = draw(st.booleans())

    def apply(x: Tensor) -> Tensor:
        other = (x.mean(axes, keepdim=keep) if axes else torch.tanh(x)) + 0.5
        return function(other, x) if swapped else function(x, other)

    return Case(apply, shape)


@st.composite
def reductions(draw: DrawFn, function: Callable[[Tensor, list[int], bool], Tensor]) -> Case:
    """Over any axes but the batch."""
    shape = draw(tensors(2))
    axes = draw(st.lists(ints(1, len(shape)), unique=True, min_size=1))
    keep = draw(st.booleans()) or len(axes) == len(shape)
    return Case(lambda x: function(x, axes, keep), shape)


@st.composite
def along_an_axis(draw: DrawFn, function: Callable[[Tensor, int], Tensor]) -> Case:
    """A function along any axis but the batch, counted from the front or the back."""
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
        return joined if axis else joined.reshape(count, -1, *shape).sum(0)

    return Case(apply, shape)


@st.composite
def splits(draw: DrawFn) -> Case:
    """Split into uneven parts, not all of them used."""
    shape = draw(tensors())
    axis = draw(ints(1, len(shape)))
    first = draw(ints(1, shape[axis - 1] - 1))
    used = draw(st.sampled_from([(0,), (1,), (0, 1)]))

    def apply(x: Tensor) -> Tensor:
        parts = torch.split(x, [first, shape[axis - 1] - first], axis)
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
def mirrored_pads(draw: DrawFn, mode: str) -> Case:
    """Padding of the image with its own values."""
    axes = draw(ints(1, 2))
    shape = (2, *draw(sizes(axes, 3, 5)))
    amounts = draw(sizes(2 * axes, 0, 2))
    return Case(lambda x: functional.pad(x, amounts, mode=mode), shape)


@st.composite
def gathers(draw: DrawFn) -> Case:
    """Rows, columns and single elements taken by index along any axis; an index may come twice."""
    shape = draw(tensors())
    axis = draw(ints(1, len(shape)))
    indices = torch.tensor(draw(st.lists(ints(0, shape[axis - 1] - 1), min_size=1, max_size=5)))
    single = len(shape) > 1 and draw(st.booleans())
    first = int(indices[0])
    return Case(lambda x: x.select(axis, first) if single else x.index_select(axis, indices), shape)


@st.composite
def element_gathers(draw: DrawFn, function: Callable[[Tensor, int, int], Tensor]) -> Case:
    """Elements taken along an axis: a function of the tensor, the axis and how many."""
    shape = draw(tensors(2))
    axis = draw(ints(1, len(shape)))
    count = draw(ints(1, shape[axis - 1]))
    return Case(lambda x: function(x, axis, count), shape)


@st.composite
def layouts(draw: DrawFn, function: Callable[[Tensor, list[int]], Tensor]) -> Case:
    """A function of N×3 axes and an order of the axes 1, 2 and 3."""
    order = list(draw(st.permutations([1, 2, 3])))
    return Case(lambda x: function(x, order), draw(sizes(3, 2, 4)))


class Product(nn.Module):
    """x times a weight."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        return x @ self.weight


@st.composite
def weight_products(draw: DrawFn) -> Case:
    """A product with a weight whose leading axes broadcast."""
    shape = draw(tensors(2))
    leading = draw(st.sampled_from([(), (1,), shape[:-2]]))
    return Case(Product(*leading, shape[-1], draw(ints(1, 4))), shape)


def product_with_itself(x: Tensor) -> Tensor:
    """A product of two tensors that both have a gradient."""
    return x @ x.transpose(-2, -1)


def product_of_batches(x: Tensor) -> Tensor:
    """A product of batches that stood on the second axis, as in torch's attention."""
    moved = torch.tanh(x.transpose(0, 1))
    return moved.transpose(0, 1) @ moved.movedim((0, 1), (-1, 0))


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
    # Two elements become −1 and 1 whatever they are: their gradient is rounding.
    assume(math.prod(normal) > 2)
    layer = nn.LayerNorm(normal, elementwise_affine=draw(st.booleans()), eps=draw(st.sampled_from([1e-5, 1e-2])))
    return Case(layer, shape)


class RmsNorm(nn.Module):
    """Normalisation by the root mean square of the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised values."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3) * self.scale


@st.composite
def rms_norms(draw: DrawFn) -> Case:
    """Normalisation by the root mean square of the last axis."""
    shape = draw(tensors())
    return Case(RmsNorm(shape[-1]), shape)


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """What each token attends to."""
        attended: Tensor = self.attention(x, x, x)[0]
        return attended


def encoder_layer(width: int, heads: int) -> nn.Module:
    """A layer of a transformer without dropout."""
    return nn.TransformerEncoderLayer(width, heads, 5, 0.0, batch_first=True)


@st.composite
def attentions(draw: DrawFn, layer: Callable[[int, int], nn.Module]) -> Case:
    """A layer made for a width and a number of heads."""
    heads, tokens = draw(ints(1, 2)), draw(ints(1, 4))
    width = heads * draw(ints(1, 3))
    return Case(layer(width, heads), (tokens, width))


class Embedded(nn.Module):
    """An embedding of rounded values, times the values, so that what is before it is trained too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, width)

    def forward(self, x: Tensor) -> Tensor:
        """The embedded values."""
        embedded: Tensor = self.embedding(x.abs().clamp(0, 3).long())
        return embedded * x.unsqueeze(-1)


@st.composite
def embeddings(draw: DrawFn) -> Case:
    """An embedding of which some rows are taken often and some never."""
    return Case(Embedded(draw(ints(1, 4))), draw(tensors(1, 2)))
