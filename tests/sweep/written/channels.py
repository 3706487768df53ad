"""What weighs channels, places and filters by the image: squeeze-excite and its kin, dynamic filters, sampling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import CLASSES, Case, layer


class SqueezeExcite(nn.Module):
    def __init__(self, channel: int = 8, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        hidden = channel // reduction
        down, up = nn.Linear(channel, hidden, bias=False), nn.Linear(hidden, channel, bias=False)
        self.fc = nn.Sequential(down, nn.ReLU(inplace=True), up, nn.Sigmoid())

    def forward(self, x: Tensor) -> Any:
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class Cbam(nn.Module):
    def __init__(self, planes: int = 8) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Conv2d(planes, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, planes, 1, bias=False))
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Any:
        x = x * torch.sigmoid(
            self.fc(functional.adaptive_avg_pool2d(x, 1)) + self.fc(functional.adaptive_max_pool2d(x, 1))
        )
        avg_out = torch.mean(x, dim=1, keepdim=True)
        max_out, _ = torch.max(x, dim=1, keepdim=True)
        return x * torch.sigmoid(self.conv(torch.cat([avg_out, max_out], dim=1)))


class NonLocal(nn.Module):
    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.inter = channels // 2
        self.theta, self.phi, self.g = (nn.Conv2d(channels, self.inter, 1) for _ in range(3))
        bn = nn.BatchNorm2d(channels)
        nn.init.constant_(bn.weight, 0.5)
        self.w = nn.Sequential(nn.Conv2d(self.inter, channels, 1), bn)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Any:
        batch_size = x.size(0)
        g_x = self.pool(self.g(x)).view(batch_size, self.inter, -1).permute(0, 2, 1)
        theta_x = self.theta(x).view(batch_size, self.inter, -1).permute(0, 2, 1)
        phi_x = self.pool(self.phi(x)).view(batch_size, self.inter, -1)
        f_div_c = functional.softmax(torch.matmul(theta_x, phi_x), dim=-1)
        y = torch.matmul(f_div_c, g_x).permute(0, 2, 1).contiguous()
        return self.w(y.view(batch_size, self.inter, *x.size()[2:])) + x


class EfficientChannel(nn.Module):
    """ECA: a kernel whose size is computed, along the channels."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        t = int(abs((math.log(channels, 2) + 1) / 2))
        k = t if t % 2 else t + 1
        self.conv = nn.Conv1d(1, 1, kernel_size=k, padding=(k - 1) // 2, bias=False)

    def forward(self, x: Tensor) -> Any:
        y = functional.adaptive_avg_pool2d(x, 1)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * y.sigmoid().expand_as(x)


class CoordinateAttention(nn.Module):
    def __init__(self, inp: int = 6) -> None:
        super().__init__()
        self.pool_h, self.pool_w = nn.AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((1, None))
        self.conv1, self.bn1, self.act = nn.Conv2d(inp, 4, 1), nn.BatchNorm2d(4), nn.Hardswish()
        self.conv_h, self.conv_w = nn.Conv2d(4, inp, 1), nn.Conv2d(4, inp, 1)

    def forward(self, x: Tensor) -> Any:
        _, _, h, w = x.size()
        y = torch.cat([self.pool_h(x), self.pool_w(x).permute(0, 1, 3, 2)], dim=2)
        y = self.act(self.bn1(self.conv1(y)))
        x_h, x_w = torch.split(y, [h, w], dim=2)
        return x * self.conv_w(x_w.permute(0, 1, 3, 2)).sigmoid() * self.conv_h(x_h).sigmoid()


class SelectiveKernel(nn.Module):
    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(features, features, 3, padding=1 + i, dilation=1 + i, groups=2) for i in range(2)
        )
        self.fc, self.fcs = nn.Linear(features, 3), nn.ModuleList(nn.Linear(3, features) for _ in range(2))

    def forward(self, x: Tensor) -> Any:
        feas = torch.cat([conv(x).unsqueeze_(dim=1) for conv in self.convs], dim=1)
        fea_s = torch.sum(feas, dim=1).mean(-1).mean(-1)
        fea_z = self.fc(fea_s)
        vectors = torch.stack([fc(fea_z) for fc in self.fcs], dim=1)
        weights = torch.softmax(vectors, dim=1).unsqueeze(-1).unsqueeze(-1)
        return (feas * weights).sum(dim=1)


class Involution(nn.Module):
    """A filter for each place, made of its pixel."""

    def __init__(self, channels: int = 6, kernel_size: int = 3, group_channels: int = 3) -> None:
        super().__init__()
        self.k, self.gc, self.groups = kernel_size, group_channels, channels // group_channels
        self.reduce = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.span = nn.Conv2d(4, kernel_size**2 * self.groups, 1)
        self.unfold = nn.Unfold(kernel_size, 1, (kernel_size - 1) // 2, 1)

    def forward(self, x: Tensor) -> Any:
        weight = self.span(self.reduce(x))
        b, _, h, w = weight.shape
        weight = weight.view(b, self.groups, self.k**2, h, w).unsqueeze(2)
        out = self.unfold(x).view(b, self.groups, self.gc, self.k**2, h, w)
        return (weight * out).sum(dim=3).view(b, self.groups * self.gc, h, w)


class CondConv(nn.Module):
    """Experts' filters mixed for each image: one convolution with as many groups as there are images."""

    def __init__(self, inputs: int = 3, outputs: int = 4, experts: int = 3) -> None:
        super().__init__()
        self.routing = nn.Linear(inputs, experts)
        self.weight = nn.Parameter(torch.randn(experts, outputs * inputs * 9) * 0.2)
        self.inputs, self.outputs = inputs, outputs

    def forward(self, x: Tensor) -> Any:
        b, c, h, w = x.shape
        routing = torch.sigmoid(self.routing(x.mean((2, 3))))
        weight = torch.matmul(routing, self.weight).view(b * self.outputs, self.inputs, 3, 3)
        out = functional.conv2d(x.reshape(1, b * c, h, w), weight, padding=1, groups=b)
        return out.view(b, self.outputs, h, w)


class DynamicConv(nn.Module):
    """The same by one product after unfolding, with a temperature that falls."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
        self.weight, self.temperature = nn.Parameter(torch.randn(4, 5, 27) * 0.2), 30.0

    def forward(self, x: Tensor) -> Any:
        attention = functional.softmax(self.attention(x) / self.temperature, dim=1)
        weight = torch.einsum("bk,koi->boi", attention, self.weight)
        return torch.bmm(weight, functional.unfold(x, 3, padding=1))


class HyperNetwork(nn.Module):
    """A filter that a small network makes of a learned vector."""

    def __init__(self) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.randn(7))
        self.hyper = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 4 * 3 * 9))

    def forward(self, x: Tensor) -> Any:
        kernel = self.hyper(self.z).view(4, 3, 3, 3)
        return functional.conv2d(x, kernel, bias=None, stride=1, padding="same")


class FilmedNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.condition = nn.Embedding(8, 12)
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=False)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        token = (x.mean(dim=(1, 2, 3)) * 8).long().clamp(0, 7)
        gamma, beta = self.condition(token).chunk(2, dim=-1)
        out = self.norm(self.conv(x)) * (1 + gamma[..., None, None]) + beta[..., None, None]
        return self.fc(functional.relu(out).mean((-1, -2)))


class SpatialTransformer(nn.Module):
    """As in torch's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        pool = (nn.MaxPool2d(2, stride=2), nn.ReLU(True))
        self.localization = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), *pool, nn.Conv2d(4, 5, 2), nn.ReLU(True))
        last = nn.Linear(8, 3 * 2)
        self.fc_loc = nn.Sequential(nn.Linear(5 * 2 * 2, 8), nn.ReLU(True), last)
        last.weight.data.mul_(0.1)
        last.bias.data.copy_(torch.tensor([0.9, 0.05, 0.02, 0, 0.95, 0.01], dtype=torch.float))
        self.conv, self.fc = nn.Conv2d(3, 5, 3), nn.Linear(5 * 36, CLASSES)

    def forward(self, x: Tensor) -> Any:
        xs = self.localization(x)
        xs = xs.view(-1, 5 * 2 * 2)
        theta = self.fc_loc(xs).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(x.size()))
        x = functional.grid_sample(x, grid)
        return self.fc(functional.relu(self.conv(x)).flatten(1))


class DeformedConv(nn.Module):
    """Offsets that a convolution learns, read with grid_sample."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.conv = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        n, _, h, w = x.shape
        ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        base = torch.stack((xs, ys), dim=-1).to(x.dtype).unsqueeze(0).repeat(n, 1, 1, 1)
        grid = base + 0.3 * self.offset(x).permute(0, 2, 3, 1)
        grid = 2.0 * grid / torch.tensor([w - 1, h - 1]) - 1.0
        sampled = functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)
        return self.conv(sampled)


class SimAm(nn.Module):
    """Attention without a parameter."""

    def forward(self, x: Tensor) -> Any:
        _, _, h, w = x.size()
        x_minus_mu_square = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
        spread = 4 * (x_minus_mu_square.sum(dim=[2, 3], keepdim=True) / (w * h - 1) + 1e-4)
        return x * torch.sigmoid(x_minus_mu_square / spread + 0.5)


class GlobalContext(nn.Module):
    def __init__(self, c: int = 6) -> None:
        super().__init__()
        self.conv_mask, self.softmax = nn.Conv2d(c, 1, 1), nn.Softmax(dim=2)
        self.add = nn.Sequential(nn.Conv2d(c, 3, 1), nn.LayerNorm([3, 1, 1]), nn.ReLU(inplace=True), nn.Conv2d(3, c, 1))

    def forward(self, x: Tensor) -> Any:
        batch, channel, height, width = x.size()
        input_x = x.view(batch, channel, height * width).unsqueeze(1)
        mask = self.softmax(self.conv_mask(x).view(batch, 1, height * width)).unsqueeze(-1)
        return x + self.add(torch.matmul(input_x, mask).view(batch, channel, 1, 1))


CHANNELS_AND_PLACES: dict[str, Case] = {
    "squeeze and excitation": layer(SqueezeExcite, 8, 5, 5),
    "CBAM": layer(Cbam, 8, 5, 5),
    "non-local block": layer(NonLocal, 6, 6, 6),
    "ECA": layer(EfficientChannel, 8, 5, 5),
    "coordinate attention": layer(CoordinateAttention, 6, 5, 4),
    "selective kernels": layer(SelectiveKernel, 4, 6, 6),
    "involution": layer(Involution, 6, 5, 5),
    "CondConv, groups by image": layer(CondConv, 3, 6, 6),
    "dynamic convolution": layer(DynamicConv, 3, 6, 6),
    "hypernetwork": layer(HyperNetwork, 3, 6, 6),
    "FiLM": Case(FilmedNetwork),
    "spatial transformer": Case(SpatialTransformer),
    "offsets learned, by grid_sample": layer(DeformedConv, 4, 6, 6),
    "SimAM": layer(SimAm, 4, 5, 5),
    "global context": layer(GlobalContext, 6, 5, 5),
}
