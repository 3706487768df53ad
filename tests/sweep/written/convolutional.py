"""Blocks of convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import CLASSES, Case, layer


class ConvNormAct(nn.Sequential):
    """As torchvision's Conv2dNormActivation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        act: Callable[..., nn.Module] | None = nn.ReLU,
    ) -> None:
        padding = (kernel - 1) // 2 * dilation
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        super().__init__(conv, norm(outputs), *([act(inplace=True)] if act else []))


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(inputs, outputs, stride=stride)
        self.conv2 = ConvNormAct(outputs, outputs, act=None)
        self.downsample = ConvNormAct(inputs, outputs, 1, stride, act=None) if inputs != outputs else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.conv2(self.conv1(x))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Blocks made by `_make_layer`, as everybody has copied it."""

    def __init__(self) -> None:
        super().__init__()
        self.inplanes = 6
        self.conv1 = ConvNormAct(3, 6)
        self.layer1 = self._make_layer(6, 1, 1)
        self.layer2 = self._make_layer(8, 2, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, CLASSES)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _make_layer(self, planes: int, blocks: int, stride: int) -> nn.Sequential:
        layers = [BasicBlock(self.inplanes, planes, stride)]
        self.inplanes = planes
        layers += [BasicBlock(self.inplanes, planes, 1) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Any:
        x = self.layer2(self.layer1(self.conv1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class DenseBlock(nn.ModuleDict):
    """As torchvision's: layers by name, each given all that was before."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(3):
            norm, conv = nn.BatchNorm2d(4 + 3 * i), nn.Conv2d(4 + 3 * i, 3, 3, padding=1, bias=False)
            self[f"denselayer{i + 1}"] = nn.Sequential(norm, nn.ReLU(inplace=True), conv)

    def forward(self, features: Tensor) -> Any:
        collected = [features]
        for each in self.values():
            collected.append(each(torch.cat(collected, 1)))
        return torch.cat(collected, 1)


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch1 = ConvNormAct(4, 3, 1)
        self.branch2 = nn.Sequential(ConvNormAct(4, 3, 1), ConvNormAct(3, 4, 3))
        self.branch3 = nn.Sequential(ConvNormAct(4, 2, 1), ConvNormAct(2, 3, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), ConvNormAct(4, 2, 1))

    def forward(self, x: Tensor) -> Any:
        return torch.cat([getattr(self, f"branch{i}")(x) for i in range(1, 5)], 1)


class ShuffleUnit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch2 = nn.Sequential(ConvNormAct(4, 4, 1), ConvNormAct(4, 4, groups=4, act=None), ConvNormAct(4, 4, 1))

    def forward(self, x: Tensor) -> Any:
        x1, x2 = x.chunk(2, dim=1)
        out = torch.cat((x1, self.branch2(x2)), dim=1)
        batchsize, num_channels, height, width = out.size()
        out = out.view(batchsize, 2, num_channels // 2, height, width)
        out = torch.transpose(out, 1, 2).contiguous()
        return out.view(batchsize, num_channels, height, width)


class Res2Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(3))
        self.bns = nn.ModuleList(nn.BatchNorm2d(2) for _ in range(3))
        self.pool = nn.AvgPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Any:
        spx = torch.split(x, 2, 1)
        outputs: list[Tensor] = []
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            sp = spx[i] if i == 0 else outputs[-1] + spx[i]
            outputs.append(functional.relu(bn(conv(sp))))
        return torch.cat([*outputs, self.pool(spx[-1])], 1)


class GhostModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.primary = ConvNormAct(4, 5, 1)
        self.cheap = ConvNormAct(5, 5, 3, groups=5)

    def forward(self, x: Tensor) -> Any:
        x1 = self.primary(x)
        return torch.cat([x1, self.cheap(x1)], dim=1)[:, :8, :, :]


class RepVggBlock(nn.Module):
    """Three branches of which training has each."""

    def __init__(self) -> None:
        super().__init__()
        self.rbr_identity = nn.BatchNorm2d(4)
        self.rbr_dense = ConvNormAct(4, 4, act=None)
        self.rbr_1x1 = ConvNormAct(4, 4, 1, act=None)
        self.nonlinearity = nn.ReLU()

    def forward(self, inputs: Tensor) -> Any:
        if not self.training and hasattr(self, "rbr_reparam"):
            return self.nonlinearity(self.get_submodule("rbr_reparam")(inputs))
        return self.nonlinearity(self.rbr_dense(inputs) + self.rbr_1x1(inputs) + self.rbr_identity(inputs))


class OctaveConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.AvgPool2d(kernel_size=(2, 2), stride=2)
        self.h2h, self.h2l = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
        self.l2h, self.l2l = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.first = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Any:
        x_h, x_l = x, self.first(self.downsample(x))
        out_h = self.h2h(x_h) + functional.interpolate(self.l2h(x_l), scale_factor=2, mode="nearest")
        out_l = self.l2l(x_l) + self.h2l(self.downsample(x_h))
        return out_h, out_l


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inc, self.down = ConvNormAct(3, 6), nn.Sequential(nn.MaxPool2d(2), ConvNormAct(6, 8))
        self.bottom = nn.Sequential(nn.MaxPool2d(2), ConvNormAct(8, 10))
        self.up1, self.up2 = nn.ConvTranspose2d(10, 8, 2, stride=2), nn.Upsample(scale_factor=2, mode="bilinear")
        self.conv1, self.conv2 = ConvNormAct(16, 8), ConvNormAct(14, 6)
        self.outc = nn.Conv2d(6, CLASSES, kernel_size=1)

    def forward(self, x: Tensor) -> Any:
        x1 = self.inc(x)
        x2 = self.down(x1)
        u = self.up1(self.bottom(x2))
        diff_y, diff_x = x2.size(2) - u.size(2), x2.size(3) - u.size(3)
        u = functional.pad(u, [diff_x // 2, diff_x - diff_x // 2, diff_y // 2, diff_y - diff_y // 2])
        u = self.conv1(torch.cat([x2, u], dim=1))
        u = self.conv2(torch.cat([x1, self.up2(u)], dim=1))
        return self.outc(u).amax(dim=(-2, -1))


class FeaturePyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([ConvNormAct(3, 4), ConvNormAct(4, 6, stride=2), ConvNormAct(6, 8, stride=2)])
        self.inner = nn.ModuleList(nn.Conv2d(n, 5, 1) for n in (4, 6, 8))
        self.outer = nn.ModuleList(nn.Conv2d(5, 5, 3, padding=1) for _ in range(3))
        self.fc = nn.Linear(15, CLASSES)

    def forward(self, x: Tensor) -> Any:
        features = []
        for stage in self.body:
            x = stage(x)
            features.append(x)
        last = self.inner[-1](features[-1])
        results = [self.outer[-1](last)]
        for idx in range(len(features) - 2, -1, -1):
            lateral = self.inner[idx](features[idx])
            top_down = functional.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            last = lateral + top_down
            results.insert(0, self.outer[idx](last))
        return self.fc(torch.cat([functional.adaptive_avg_pool2d(r, 1).flatten(1) for r in results], 1))


class HighResolution(nn.Module):
    """Two resolutions that exchange, as HRNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.transition = ConvNormAct(3, 4), ConvNormAct(4, 6, stride=2)
        self.branches = nn.ModuleList([BasicBlock(4, 4, 1), BasicBlock(6, 6, 1)])
        up = nn.Sequential(nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Upsample(scale_factor=2.0))
        down = ConvNormAct(4, 6, stride=2, act=None)
        self.fuse = nn.ModuleList([nn.ModuleList([nn.Identity(), up]), nn.ModuleList([down, nn.Identity()])])
        self.classifier = nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        xs = [b(y) for b, y in zip(self.branches, [x, self.transition(x)], strict=True)]
        fused = []
        for fuse_outer in self.fuse:
            y = sum(f(xs[j]) for j, f in enumerate(fuse_outer.children()))
            assert isinstance(y, Tensor)
            fused.append(functional.relu(y, inplace=True))
        return self.classifier(torch.cat([y.mean([2, 3]) for y in fused], 1))


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(1e-1 * torch.ones(dim), requires_grad=True)

    def forward(self, x: Tensor) -> Any:
        input = x
        x = self.dwconv(x).permute(0, 2, 3, 1)
        x = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        return input + x.permute(0, 3, 1, 2)


class GlobalResponseNorm(nn.Module):
    """ConvNeXt V2's, of N×H×W×C."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, 1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> Any:
        gx = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
        nx = gx / (gx.mean(dim=-1, keepdim=True) + 1e-6)
        return self.gamma * (x * nx) + self.beta + x


class MaxBlurPool(nn.Module):
    """Antialiased pooling: a fixed filter in a buffer for each channel."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        a = torch.tensor([1.0, 2.0, 1.0])
        filt = a[:, None] * a[None, :]
        self.register_buffer("filt", (filt / filt.sum())[None, None].repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Any:
        x = functional.max_pool2d(x, 2, stride=1)
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=x.shape[1])


class CoordConv(nn.Module):
    """Coordinates as further channels, made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 5, 3)

    def forward(self, x: Tensor) -> Any:
        b, _, h, w = x.shape
        ys = torch.linspace(-1, 1, h, device=x.device).view(1, 1, h, 1).expand(b, 1, h, w)
        xs = torch.linspace(-1, 1, w, device=x.device).view(1, 1, 1, w).expand(b, -1, h, -1)
        return self.conv(torch.cat([x, xs, ys], dim=1))


class Maxout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 12, 3)

    def forward(self, x: Tensor) -> Any:
        y = self.conv(x)
        n, c, h, w = y.shape
        m, _ = y.view(n, c // 3, 3, h, w).max(dim=2)
        return m


class SpatialPyramidPooling(nn.Module):
    """Pooled to several sizes, some larger than they divide."""

    def forward(self, x: Tensor) -> Any:
        levels = [functional.adaptive_max_pool2d(x, (n, n)) for n in (1, 2, 4)]
        return torch.cat([level.view(level.size(0), -1) for level in levels], 1)


class AtrousPyramid(nn.Module):
    """DeepLab's ASPP with its pooled branch resized."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([ConvNormAct(4, 3, 1), ConvNormAct(4, 3, 3, dilation=2)])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1, bias=False), nn.ReLU())
        self.project = nn.Sequential(nn.Conv2d(9, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Any:
        res = [conv(x) for conv in self.convs]
        res.append(functional.interpolate(self.pooled(x), size=x.shape[-2:], mode="bilinear", align_corners=False))
        return self.project(torch.cat(res, dim=1))


class ReZero(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.alpha = nn.ParameterList(nn.Parameter(torch.full((1,), 0.1)) for _ in range(2))

    def forward(self, x: Tensor) -> Any:
        for i, conv in enumerate(self.layers):
            x = x + self.alpha[i] * functional.leaky_relu(conv(x), 0.2, inplace=True)
        return x


class SuperResolved(nn.Module):
    """Small images, made larger first."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.PReLU(8), nn.MaxPool2d(3, 2))
        self.fc = nn.Linear(8 * 3 * 3, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = functional.interpolate(x, scale_factor=2, mode="bicubic", align_corners=True)
        return self.fc(self.body(x).reshape(x.shape[0], -1))


CONVOLUTIONAL: dict[str, Case] = {
    "ResNet": Case(ResNet),
    "DenseNet's block": layer(DenseBlock, 4, 6, 6),
    "Inception's block": layer(Inception, 4, 6, 6),
    "ShuffleNet's unit": layer(ShuffleUnit, 8, 6, 6),
    "Res2Net's block": layer(Res2Block, 8, 6, 6),
    "Ghost module": layer(GhostModule, 4, 6, 6),
    "RepVGG's block": layer(RepVggBlock, 4, 6, 6),
    "octave convolution": layer(OctaveConv, 4, 6, 6),
    "U-Net": Case(UNet),
    "feature pyramid": Case(FeaturePyramid),
    "HRNet": Case(HighResolution),
    "ConvNeXt's block": layer(ConvNeXtBlock, 6, 6, 6),
    "global response normalisation": layer(lambda: GlobalResponseNorm(4), 6, 6, 4),
    "blurred max pooling": layer(lambda: MaxBlurPool(4), 4, 7, 7),
    "coordinates as channels": layer(CoordConv, 4, 6, 6),
    "maxout": layer(Maxout, 4, 6, 6),
    "spatial pyramid pooling": layer(SpatialPyramidPooling, 4, 6, 6),
    "atrous pyramid": layer(AtrousPyramid, 4, 6, 6),
    "ReZero": layer(ReZero, 4, 6, 6),
    "images made larger first": Case(SuperResolved),
}
