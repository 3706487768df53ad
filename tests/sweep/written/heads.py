"""Pooling, heads and what stands between features and logits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import CLASSES, Case, layer


class Features(nn.Module):
    """N×16×3×3 of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3, stride=2)
        self.bn = nn.BatchNorm2d(12)

    def forward(self, x: Tensor) -> Any:
        return functional.relu(self.bn(self.conv2(functional.relu(self.conv1(x)))))


class ArcMargin(nn.Module):
    """Kaggle's ArcFace without labels: cosines of normed features and weights, scaled."""

    def __init__(self, s: float = 8.0) -> None:
        super().__init__()
        self.features, self.s = Features(), s
        self.weight = nn.Parameter(torch.empty(CLASSES, 12))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Any:
        features = self.features(x).mean((2, 3))
        cosine = functional.linear(functional.normalize(features), functional.normalize(self.weight))
        sine = torch.sqrt((1.0 - torch.pow(cosine, 2)).clamp(1e-6, 1))
        phi = cosine * math.cos(0.3) - sine * math.sin(0.3)
        if self.training:
            cosine = torch.where(cosine > math.cos(math.pi - 0.3), 0.5 * (phi + cosine), cosine)
        return cosine * self.s


class Prototypes(nn.Module):
    """Distances from a prototype of each class."""

    def __init__(self, squared: bool) -> None:
        super().__init__()
        self.features, self.squared = Features(), squared
        self.prototypes = nn.Parameter(torch.randn(CLASSES, 12))

    def forward(self, x: Tensor) -> Any:
        z = self.features(x).mean([2, 3])
        if self.squared:
            return -torch.pow(z.unsqueeze(1) - self.prototypes.unsqueeze(0), 2).sum(2)
        return -torch.cdist(z, self.prototypes)


class CentreLoss(nn.Module):
    """Logits and distances from centres as an auxiliary output of training."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.fc = Features(), nn.Linear(12, CLASSES)
        self.centers = nn.Parameter(torch.randn(CLASSES, 12))

    def forward(self, x: Tensor) -> Any:
        z = self.features(x).mean([2, 3])
        distmat = z.pow(2).sum(1, keepdim=True) + self.centers.pow(2).sum(1).unsqueeze(0)
        distmat = torch.addmm(distmat, z, self.centers.t(), beta=1, alpha=-2)
        return {"logits": self.fc(z) - 0.1 * distmat, "distances": distmat}


class Contrastive(nn.Module):
    """CLIP's temperature, clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.text = Features(), nn.Parameter(torch.randn(CLASSES, 12))
        self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))

    def forward(self, x: Tensor) -> Any:
        z = self.features(x).flatten(2).mean(-1)
        z = z / (z.norm(dim=-1, keepdim=True) + 1e-6)
        text = self.text / self.text.norm(dim=1, keepdim=True)
        return self.logit_scale.exp().clamp(max=10.0) * z @ text.t()


class Temperature(nn.Module):
    """A temperature kept in its bounds, in the middle of them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.temperature = nn.Linear(192, CLASSES), nn.Parameter(torch.full((1,), 1.5))

    def forward(self, x: Tensor) -> Any:
        return self.fc(x.flatten(1)) / torch.clamp(self.temperature, 0.05, 5.0).unsqueeze(1)


class GeM(nn.Module):
    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.eps = nn.Parameter(torch.ones(1) * p), eps

    def forward(self, x: Tensor) -> Any:
        pooled = functional.avg_pool2d(x.clamp(min=self.eps).pow(self.p), (x.size(-2), x.size(-1)))
        return pooled.pow(1.0 / self.p)


class BilinearPooling(nn.Module):
    """B-CNN: outer products, their signed roots, normed."""

    def forward(self, x: Tensor) -> Any:
        n, c, h, w = x.size()
        x = x.reshape(n, c, h * w)
        x = torch.bmm(x, torch.transpose(x, 1, 2)) / (h * w)
        x = x.reshape(n, c * c)
        x = torch.sign(x) * torch.sqrt(torch.abs(x) + 1e-5)
        return functional.normalize(x)


class AttentionPool(nn.Module):
    """CLIP's: the mean asks all places."""

    def __init__(self, spacial: int = 9, dim: int = 8) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(spacial + 1, dim) / dim**0.5)
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(start_dim=2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x], dim=0)
        x = x + self.positional_embedding[:, None, :].to(x.dtype)
        assert self.q_proj.bias is not None and self.k_proj.bias is not None and self.v_proj.bias is not None
        x, _ = functional.multi_head_attention_forward(
            query=x[:1],
            key=x,
            value=x,
            embed_dim_to_check=x.shape[-1],
            num_heads=2,
            q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.c_proj.weight,
            out_proj_bias=self.c_proj.bias,
            use_separate_proj_weight=True,
            training=self.training,
            need_weights=False,
        )
        return x.squeeze(0)


class NetVlad(nn.Module):
    def __init__(self, clusters: int = 3, dim: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, clusters, kernel_size=(1, 1), bias=True)
        self.centroids, self.num_clusters = nn.Parameter(torch.rand(clusters, dim)), clusters

    def forward(self, x: Tensor) -> Any:
        n, c = x.shape[:2]
        x = functional.normalize(x, p=2, dim=1)
        soft_assign = functional.softmax(self.conv(x).view(n, self.num_clusters, -1), dim=1)
        x_flatten = x.view(n, c, -1)
        residual = x_flatten.expand(self.num_clusters, -1, -1, -1).permute(1, 0, 2, 3) - self.centroids.expand(
            x_flatten.size(-1), -1, -1
        ).permute(1, 2, 0).unsqueeze(0)
        residual *= soft_assign.unsqueeze(2)
        vlad = functional.normalize(residual.sum(dim=-1), p=2, dim=2)
        return functional.normalize(vlad.view(x.size(0), -1), p=2, dim=1)


class Capsules(nn.Module):
    """Routing by agreement, whose coefficients get no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.primary = nn.Conv2d(3, 8, 5, stride=3)
        self.w = nn.Parameter(0.3 * torch.randn(CLASSES, 16, 4, 2))

    @staticmethod
    def squash(x: Tensor, dim: int = -1) -> Tensor:
        squared_norm = (x**2).sum(dim=dim, keepdim=True)
        return squared_norm / (1 + squared_norm) * x / (squared_norm.sqrt() + 1e-8)

    def forward(self, x: Tensor) -> Any:
        u = self.squash(self.primary(x).view(x.size(0), -1, 2))
        u_hat = torch.matmul(self.w, u[:, None, :, :, None]).squeeze(-1)
        temp_u_hat = u_hat.detach()
        b = torch.zeros(x.size(0), CLASSES, 16, 1)
        for _ in range(2):
            c = b.softmax(dim=1)
            v = self.squash((c * temp_u_hat).sum(dim=2))
            b += torch.matmul(temp_u_hat, v.unsqueeze(-1))
        c = b.softmax(dim=1)
        return torch.norm(self.squash((c * u_hat).sum(dim=2)), dim=-1)


class BagOfColours(nn.Module):
    """EmbeddingBag over quantised pixels."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.bag, self.fc = nn.EmbeddingBag(64, 6, mode=mode), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        q = (x * 3.999).long()
        index = (q[:, 0] * 16 + q[:, 1] * 4 + q[:, 2]).flatten(1)
        return self.fc(self.bag(index))


class OffsetsBag(nn.Module):
    """The text tutorial's: all indices in one row, and where each image begins."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = nn.EmbeddingBag(16, 5), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Any:
        text = (x[:, 0].flatten(1) * 15.999).to(torch.int64)
        offsets = torch.arange(0, text.shape[0] * text.shape[1], text.shape[1])
        return self.fc(self.embedding(text.reshape(-1), offsets))


class PixelEmbedding(nn.Module):
    """Rows that are scaled to a norm, and a padding row."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(16, 6, padding_idx=0)
        self.positions, self.fc = nn.Embedding(64, 6), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        ids = (x.mean(1).flatten(1) * 15.99).int()
        positions = torch.arange(ids.size(1), device=x.device).expand(ids.size())
        hidden = self.tokens(ids) + self.positions(positions)
        mask = (ids != 0).unsqueeze(-1).float()
        return self.fc((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9))


class TwoTowers(nn.Module):
    """nn.Bilinear between what two parts see."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(96, 5), nn.Linear(96, 6)
        self.bilinear = nn.Bilinear(5, 6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        a, b = torch.split(x.flatten(1), [96, 96], dim=1)
        return self.bilinear(torch.tanh(self.left(a)), torch.tanh(self.right(b)))


class MultiSample(nn.Module):
    """Kaggle's dropout of several samples."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.fc = Features(), nn.Linear(12, CLASSES)
        self.dropouts = nn.ModuleList(nn.Dropout(p) for p in (0.1, 0.3, 0.5))

    def forward(self, x: Tensor) -> Any:
        h = self.features(x).mean((-1, -2))
        out: Any = 0
        for dropout in self.dropouts:
            out = out + self.fc(dropout(h))
        return out / len(self.dropouts)


class Rbf(nn.Module):
    """Radial basis functions."""

    def __init__(self) -> None:
        super().__init__()
        self.centres, self.log_sigmas = nn.Parameter(torch.randn(7, 10)), nn.Parameter(torch.zeros(7))

    def forward(self, x: Tensor) -> Any:
        size = (x.size(0), 7, 10)
        distances = (x.unsqueeze(1).expand(size) - self.centres.unsqueeze(0).expand(size)).pow(2).sum(-1).pow(0.5)
        return torch.exp(-1 * (distances / torch.exp(self.log_sigmas).unsqueeze(0) / 4).pow(2))


class Kan(nn.Module):
    """B-splines by recursion over their order, as in efficient-kan."""

    def __init__(self) -> None:
        super().__init__()
        grid = (torch.arange(-2, 7) * 0.5 - 1).expand(5, -1).contiguous()
        self.register_buffer("grid", grid)
        self.base_weight = nn.Parameter(torch.randn(6, 5) * 0.3)
        self.spline_weight = nn.Parameter(torch.randn(6, 5, 6) * 0.3)

    def b_splines(self, x: Tensor) -> Tensor:
        grid = self.get_buffer("grid")
        x = x.unsqueeze(-1)
        bases = ((x >= grid[:, :-1]) & (x < grid[:, 1:])).to(x.dtype)
        for k in range(1, 3):
            left = (x - grid[:, : -(k + 1)]) / (grid[:, k:-1] - grid[:, : -(k + 1)]) * bases[:, :, :-1]
            right = (grid[:, k + 1 :] - x) / (grid[:, k + 1 :] - grid[:, 1:(-k)]) * bases[:, :, 1:]
            bases = left + right
        return bases.contiguous()

    def forward(self, x: Tensor) -> Any:
        base = functional.linear(functional.silu(x), self.base_weight)
        return base + functional.linear(self.b_splines(x).view(x.size(0), -1), self.spline_weight.view(6, -1))


class SortPooling(nn.Module):
    """Values in order, the middle one and some quantiles."""

    def forward(self, x: Tensor) -> Any:
        ordered, _ = torch.sort(x.flatten(2), dim=-1, descending=True)
        return torch.cat([ordered[..., :2], ordered[..., -1:], ordered.std(dim=-1, keepdim=True)], dim=-1)


class StatsPooling(nn.Module):
    """Mean and standard deviation of each channel, as of speakers."""

    def forward(self, x: Tensor) -> Any:
        mean = torch.mean(x, dim=2)
        var = torch.sum((x - mean.unsqueeze(2)) ** 2, dim=2) / (x.shape[2] - 1)
        return torch.cat((mean, torch.sqrt(var.clamp(min=1e-6))), dim=1)


HEADS: dict[str, Case] = {
    "ArcFace": Case(ArcMargin),
    "prototypes, cdist": Case(lambda: Prototypes(False)),
    "prototypes, squared distances": Case(lambda: Prototypes(True)),
    "centre loss": Case(CentreLoss),
    "CLIP's temperature": Case(Contrastive),
    "temperature in bounds": Case(Temperature),
    "GeM": layer(GeM, 4, 5, 5),
    "bilinear pooling": layer(BilinearPooling, 4, 5, 5),
    "attention pooling": layer(AttentionPool, 8, 3, 3),
    "NetVLAD": layer(NetVlad, 6, 4, 4),
    "capsules": Case(Capsules),
    "EmbeddingBag, mean": Case(lambda: BagOfColours("mean")),
    "EmbeddingBag, sum": Case(lambda: BagOfColours("sum")),
    "EmbeddingBag, max": Case(lambda: BagOfColours("max")),
    "EmbeddingBag, offsets": Case(OffsetsBag),
    "embedded pixels": Case(PixelEmbedding),
    "nn.Bilinear": Case(TwoTowers),
    "dropout, several samples": Case(MultiSample),
    "radial basis functions": layer(Rbf, 10),
    "KAN": layer(Kan, 5),
    "sorted values": layer(SortPooling, 4, 4, 4),
    "statistics pooling": layer(StatsPooling, 4, 9),
}
