"""Convolutions, pooling, padding and resizing."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tests.sweep.case import Case, layer

CONVOLUTIONS: dict[str, Case] = {
    "Conv1d": layer(lambda: nn.Conv1d(4, 6, 3), 4, 9),
    "Conv1d, strided": layer(lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, bias=False), 4, 9),
    "Conv1d, the same size": layer(lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=2), 4, 9),
    "Conv1d, circular": layer(lambda: nn.Conv1d(4, 6, 3, padding=2, padding_mode="circular"), 4, 9),
    "Conv2d": layer(lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), 4, 6, 6),
    "Conv2d, dilated": layer(lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(2, 0)), 4, 7, 6),
    "Conv2d, depthwise": layer(lambda: nn.Conv2d(4, 8, 3, groups=4), 4, 6, 6),
    "Conv2d, the same size": layer(lambda: nn.Conv2d(4, 6, (2, 3), padding="same"), 4, 6, 6),
    "Conv2d, no padding": layer(lambda: nn.Conv2d(4, 6, 3, padding="valid"), 4, 6, 6),
    "Conv2d, circular": layer(lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), 4, 6, 6),
    "Conv2d, reflected": layer(lambda: nn.Conv2d(4, 6, 3, padding=(2, 1), padding_mode="reflect"), 4, 6, 6),
    "Conv2d, replicated": layer(lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="replicate", stride=2), 4, 6, 6),
    "Conv2d, circular and the same size": layer(
        lambda: nn.Conv2d(4, 6, 4, padding="same", padding_mode="circular"), 4, 6, 6
    ),
    "Conv3d": layer(lambda: nn.Conv3d(2, 4, 3, padding=1), 2, 4, 4, 4),
    "Conv3d, grouped": layer(lambda: nn.Conv3d(2, 4, (2, 3, 1), stride=(1, 2, 1), groups=2), 2, 4, 5, 4),
    "Conv3d, dilated": layer(lambda: nn.Conv3d(2, 4, 2, dilation=2, padding=(0, 1, 1)), 2, 4, 5, 4),
    "Conv3d, the same size": layer(lambda: nn.Conv3d(2, 4, 3, padding="same", padding_mode="replicate"), 2, 3, 3, 3),
    "ConvTranspose1d": layer(lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), 4, 7),
    "ConvTranspose2d": layer(lambda: nn.ConvTranspose2d(4, 6, 3), 4, 5, 5),
    "ConvTranspose2d, strided": layer(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=(1, 0)), 4, 4, 5
    ),
    "ConvTranspose2d, grouped": layer(lambda: nn.ConvTranspose2d(4, 6, (2, 3), groups=2, dilation=2), 4, 4, 5),
    "ConvTranspose3d": layer(lambda: nn.ConvTranspose3d(2, 4, 2, stride=(1, 2, 1)), 2, 3, 3, 3),
    "ConvTranspose3d, grouped": layer(
        lambda: nn.ConvTranspose3d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False), 2, 3, 3, 2
    ),
    "LazyConv1d": layer(lambda: nn.LazyConv1d(6, 3), 4, 9),
    "LazyConv2d": layer(lambda: nn.LazyConv2d(6, 3), 4, 6, 6),
    "LazyConv3d": layer(lambda: nn.LazyConv3d(4, 2), 2, 3, 3, 3),
    "LazyConvTranspose1d": layer(lambda: nn.LazyConvTranspose1d(6, 3), 4, 7),
    "LazyConvTranspose2d": layer(lambda: nn.LazyConvTranspose2d(6, 3), 4, 4, 4),
    "LazyConvTranspose3d": layer(lambda: nn.LazyConvTranspose3d(4, 2), 2, 3, 3, 3),
    "Fold": layer(lambda: nn.Fold((5, 6), 2), 8, 20),
    "Fold, strided": layer(lambda: nn.Fold((6, 7), (2, 3), stride=2, padding=1, dilation=(2, 1)), 12, 12),
    "Unfold": layer(lambda: nn.Unfold(2), 3, 5, 6),
    "Unfold, strided": layer(lambda: nn.Unfold((2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), 3, 5, 7),
}


class _Unpooled(nn.Module):
    """Max pooling, something between, and each value back at the place of its maximum."""

    def __init__(self, pool: nn.Module, unpool: nn.Module, **options: Any) -> None:
        super().__init__()
        self.pool, self.unpool, self.options = pool, unpool, options

    def forward(self, x: Tensor) -> Tensor:
        values, indices = self.pool(x)
        restored: Tensor = self.unpool(values * values, indices, **self.options)
        return restored


class _InTraining(nn.Module):
    """Pooling at random to three a side, and in evaluation to as many."""

    def __init__(self, pool: nn.Module, axes: int = 2) -> None:
        super().__init__()
        self.pool, self.evenly = pool, nn.AdaptiveMaxPool2d(3) if axes == 2 else nn.AdaptiveMaxPool3d(3)

    def forward(self, x: Tensor) -> Any:
        return self.pool(x) if self.training else self.evenly(x)


POOLING: dict[str, Case] = {
    "MaxPool1d": layer(lambda: nn.MaxPool1d(3, stride=2, padding=1), 4, 9),
    "MaxPool1d, dilated": layer(lambda: nn.MaxPool1d(2, dilation=2, ceil_mode=True), 4, 9),
    "MaxPool2d": layer(lambda: nn.MaxPool2d(2), 4, 6, 6),
    "MaxPool2d, overlapping": layer(lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), 4, 7, 6),
    "MaxPool2d, dilated": layer(lambda: nn.MaxPool2d((2, 3), stride=1, dilation=(2, 1)), 4, 6, 6),
    "MaxPool2d, with indices": layer(lambda: nn.MaxPool2d(2, return_indices=True), 4, 6, 6),
    "MaxPool2d, of ties": layer(lambda: nn.Sequential(nn.Threshold(0.4, 0.0), nn.MaxPool2d(2)), 4, 6, 6),
    "MaxPool2d, overlapping, of ties": layer(
        lambda: nn.Sequential(nn.Threshold(0.4, 0.0), nn.MaxPool2d(3, stride=2, padding=1)), 4, 6, 6
    ),
    "MaxPool3d": layer(lambda: nn.MaxPool3d(2), 2, 4, 4, 4),
    "MaxPool3d, overlapping": layer(lambda: nn.MaxPool3d((3, 2, 2), stride=(2, 1, 2), padding=(1, 0, 1)), 2, 4, 3, 4),
    "AvgPool1d": layer(lambda: nn.AvgPool1d(3, stride=2, padding=1), 4, 9),
    "AvgPool1d, ceiled": layer(lambda: nn.AvgPool1d(2, ceil_mode=True, count_include_pad=False), 4, 9),
    "AvgPool2d": layer(lambda: nn.AvgPool2d(2), 4, 6, 6),
    "AvgPool2d, overlapping": layer(lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), 4, 6, 6),
    "AvgPool2d, without its padding": layer(
        lambda: nn.AvgPool2d(3, stride=(1, 2), padding=1, count_include_pad=False), 4, 6, 6
    ),
    "AvgPool2d, with a divisor": layer(lambda: nn.AvgPool2d(3, stride=2, padding=1, divisor_override=5), 4, 6, 6),
    "AvgPool3d": layer(lambda: nn.AvgPool3d(2, stride=1), 2, 3, 3, 3),
    "AvgPool3d, ceiled": layer(
        lambda: nn.AvgPool3d(2, 2, ceil_mode=True, padding=1, count_include_pad=False), 2, 3, 3, 5
    ),
    "MaxPool2d, a last window behind the image": layer(
        lambda: nn.MaxPool2d(2, padding=(1, 0), ceil_mode=True),
        *(4, 5, 5),
        refused="with a last window that starts behind the image: pad it, and leave ceil_mode out",
    ),
    "AvgPool3d, with a divisor": layer(lambda: nn.AvgPool3d((2, 3, 2), padding=1, divisor_override=3), 2, 4, 4, 4),
    "AdaptiveAvgPool1d": layer(lambda: nn.AdaptiveAvgPool1d(4), 4, 9),
    "AdaptiveAvgPool1d, to more": layer(lambda: nn.AdaptiveAvgPool1d(11), 4, 9),
    "AdaptiveAvgPool2d": layer(lambda: nn.AdaptiveAvgPool2d((None, 4)), 4, 6, 7),
    "AdaptiveAvgPool2d, to one": layer(lambda: nn.AdaptiveAvgPool2d(1), 4, 6, 7),
    "AdaptiveAvgPool2d, to more": layer(lambda: nn.AdaptiveAvgPool2d(7), 4, 2, 3),
    "AdaptiveAvgPool3d": layer(lambda: nn.AdaptiveAvgPool3d((2, 1, 3)), 2, 4, 3, 4),
    "AdaptiveAvgPool3d, to more": layer(lambda: nn.AdaptiveAvgPool3d(4), 2, 2, 3, 4),
    "AdaptiveMaxPool1d": layer(lambda: nn.AdaptiveMaxPool1d(4), 4, 9),
    "AdaptiveMaxPool1d, to more": layer(lambda: nn.AdaptiveMaxPool1d(11), 4, 9),
    "AdaptiveMaxPool2d": layer(lambda: nn.AdaptiveMaxPool2d(3), 4, 6, 6),
    "AdaptiveMaxPool2d, unevenly": layer(lambda: nn.AdaptiveMaxPool2d((None, 3)), 4, 6, 7),
    "AdaptiveMaxPool2d, to more": layer(lambda: nn.AdaptiveMaxPool2d(7), 4, 2, 3),
    "AdaptiveMaxPool2d, with indices": layer(lambda: nn.AdaptiveMaxPool2d(4, return_indices=True), 4, 6, 7),
    "AdaptiveMaxPool2d, of ties": layer(
        lambda: nn.Sequential(nn.Threshold(0.4, 0.0), nn.AdaptiveMaxPool2d(4)), 4, 6, 7
    ),
    "AdaptiveMaxPool3d": layer(lambda: nn.AdaptiveMaxPool3d((2, 1, 3)), 2, 4, 3, 4),
    "AdaptiveMaxPool3d, to more": layer(lambda: nn.AdaptiveMaxPool3d(4), 2, 2, 3, 4),
    "FractionalMaxPool2d": layer(lambda: _InTraining(nn.FractionalMaxPool2d(2, output_size=3)), 4, 6, 7),
    "FractionalMaxPool2d, by a ratio": layer(
        lambda: _InTraining(nn.FractionalMaxPool2d((2, 3), output_ratio=0.43)), 4, 7, 7
    ),
    "FractionalMaxPool2d, in evaluation": layer(
        lambda: nn.FractionalMaxPool2d(2, output_size=3),
        *(4, 6, 7),
        refused="random numbers in evaluation too, in 'operation' (FractionalMaxPool2d): guard it by self.training",
    ),
    "FractionalMaxPool3d": layer(lambda: _InTraining(nn.FractionalMaxPool3d(2, output_size=3), 3), 2, 5, 5, 5),
    "LPPool1d": layer(lambda: nn.LPPool1d(2, 3, stride=2), 4, 9),
    "LPPool2d": layer(lambda: nn.LPPool2d(3, (2, 3), ceil_mode=True), 4, 6, 6),
    "LPPool3d": layer(lambda: nn.LPPool3d(2, 2), 2, 4, 4, 4),
    "MaxUnpool1d": layer(lambda: _Unpooled(nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)), 4, 8),
    "MaxUnpool2d": layer(lambda: _Unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)), 4, 6, 6),
    "MaxUnpool2d, to a size": layer(
        lambda: _Unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2), output_size=[5, 7]), 4, 5, 7
    ),
    "MaxUnpool3d": layer(lambda: _Unpooled(nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)), 2, 4, 4, 4),
}

PADDING: dict[str, Case] = {
    "ConstantPad1d": layer(lambda: nn.ConstantPad1d((1, 2), 0.5), 4, 6),
    "ConstantPad2d": layer(lambda: nn.ConstantPad2d((1, -1, 2, 0), -1.0), 4, 5, 5),
    "ConstantPad3d": layer(lambda: nn.ConstantPad3d(1, 2.0), 2, 2, 3, 2),
    "ZeroPad1d": layer(lambda: nn.ZeroPad1d(2), 4, 6),
    "ZeroPad2d": layer(lambda: nn.ZeroPad2d((0, 1, 2, 0)), 4, 5, 5),
    "ZeroPad3d": layer(lambda: nn.ZeroPad3d(1), 2, 2, 3, 2),
    "ReflectionPad1d": layer(lambda: nn.ReflectionPad1d((2, 1)), 4, 6),
    "ReflectionPad2d": layer(lambda: nn.ReflectionPad2d((2, 1, 0, 3)), 4, 5, 5),
    "ReflectionPad3d": layer(lambda: nn.ReflectionPad3d((1, 1, 2, 0, 1, 0)), 2, 3, 3, 3),
    "ReplicationPad1d": layer(lambda: nn.ReplicationPad1d((2, 7)), 4, 6),
    "ReplicationPad2d": layer(lambda: nn.ReplicationPad2d((2, -1, 0, 3)), 4, 5, 5),
    "ReplicationPad3d": layer(lambda: nn.ReplicationPad3d((1, 1, 2, 0, 1, 0)), 2, 3, 3, 3),
    "CircularPad1d": layer(lambda: nn.CircularPad1d((2, 1)), 4, 6),
    "CircularPad2d": layer(lambda: nn.CircularPad2d((2, 1, 0, 3)), 4, 5, 5),
    "CircularPad3d": layer(lambda: nn.CircularPad3d(1), 2, 2, 3, 2),
}

RESIZING: dict[str, Case] = {
    "Upsample": layer(lambda: nn.Upsample(scale_factor=2), 4, 4, 5),
    "Upsample, of a line": layer(lambda: nn.Upsample(9), 4, 6),
    "Upsample, of a volume": layer(lambda: nn.Upsample(scale_factor=(1, 2, 2)), 2, 2, 3, 2),
    "Upsample, nearest-exact": layer(lambda: nn.Upsample((7, 9), mode="nearest-exact"), 4, 4, 5),
    "Upsample, nearest-exact, of a volume": layer(lambda: nn.Upsample(3, mode="nearest-exact"), 2, 2, 3, 2),
    "Upsample, linear": layer(lambda: nn.Upsample(scale_factor=1.5, mode="linear"), 4, 6),
    "Upsample, bilinear": layer(lambda: nn.Upsample((7, 9), mode="bilinear"), 4, 4, 5),
    "Upsample, bilinear, aligned": layer(lambda: nn.Upsample((7, 9), mode="bilinear", align_corners=True), 4, 4, 5),
    "Upsample, bilinear, recomputed": layer(
        lambda: nn.Upsample(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True), 4, 4, 5
    ),
    "Upsample, bicubic": layer(lambda: nn.Upsample((7, 9), mode="bicubic"), 4, 4, 5),
    "Upsample, trilinear": layer(lambda: nn.Upsample(scale_factor=2, mode="trilinear"), 2, 2, 3, 2),
    "Upsample, trilinear, aligned": layer(
        lambda: nn.Upsample((3, 3, 4), mode="trilinear", align_corners=True), 2, 2, 3, 2
    ),
    "UpsamplingNearest2d": layer(lambda: nn.UpsamplingNearest2d(scale_factor=2), 4, 4, 5),
    "UpsamplingBilinear2d": layer(lambda: nn.UpsamplingBilinear2d((7, 9)), 4, 4, 5),
    "PixelShuffle": layer(lambda: nn.PixelShuffle(2), 8, 3, 4),
    "PixelUnshuffle": layer(lambda: nn.PixelUnshuffle(2), 2, 4, 6),
    "ChannelShuffle": layer(lambda: nn.ChannelShuffle(2), 6, 3, 4),
}
