"""Transformers, mixers and what else works on tokens."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import CLASSES, Case, layer


class PatchEmbed(nn.Module):
    def __init__(self, dim: int = 12, patch: int = 2) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Any:
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """As timm's without its fused form."""

    def __init__(self, dim: int, heads: int = 2) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, dim * 3, bias=False), nn.Linear(dim, dim)
        self.attn_drop = nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Any:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)) * self.scale
        attn = self.attn_drop(attn.softmax(dim=-1))
        return self.proj((attn @ v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self, dim: int = 12, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.LayerNorm(dim), nn.LayerNorm(dim), Attention(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.drop_path = drop_path

    def dropped(self, x: Tensor) -> Tensor:
        if self.drop_path == 0.0 or not self.training:
            return x
        keep_prob = 1 - self.drop_path
        random_tensor = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep_prob)
        random_tensor.div_(keep_prob)
        return x * random_tensor

    def forward(self, x: Tensor) -> Any:
        x = x + self.dropped(self.attn(self.norm1(x)))
        return x + self.dropped(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    def __init__(self, drop_path: float = 0.0, prompts: int = 0) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 12))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 12) * 0.02)
        self.prompts = nn.Parameter(torch.randn(prompts, 12) * 0.1) if prompts else None
        self.blocks = nn.Sequential(*(Block(drop_path=drop_path * i) for i in range(2)))
        self.norm, self.head = nn.LayerNorm(12, eps=1e-6), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.patch_embed(x)
        cls_token = self.cls_token.expand(x.shape[0], -1, -1)
        x = torch.cat((cls_token, x), dim=1) + self.pos_embed
        if self.prompts is not None:
            x = torch.cat([x[:, :1], self.prompts.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1)
        return self.head(self.norm(self.blocks(x))[:, 0])


class TorchTransformer(nn.Module):
    """A class token beside nn.TransformerEncoder, positions by sine as in torch's tutorial."""

    pe: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(24, 16)
        encoder = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(encoder, 2, norm=nn.LayerNorm(16))
        position = torch.arange(8).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, 16, 2) * (-math.log(10000.0) / 16))
        pe = torch.zeros(1, 8, 16)
        pe[0, :, 0::2] = torch.sin(position * div_term)
        pe[0, :, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.proj(x.permute(0, 2, 1, 3).flatten(2)) * math.sqrt(16)
        x = x + self.pe[:, : x.size(1)]
        return self.head(self.encoder(x).mean(dim=1))


class MixerBlock(nn.Module):
    def __init__(self, tokens: int = 9, dim: int = 8) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.tokens = nn.Sequential(nn.Linear(tokens, 12), nn.GELU(), nn.Linear(12, tokens))
        self.channels = nn.Sequential(nn.Linear(dim, 16), nn.GELU(approximate="tanh"), nn.Linear(16, dim))

    def forward(self, x: Tensor) -> Any:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class SpatialGating(nn.Module):
    """gMLP's unit: a convolution along the tokens."""

    def __init__(self, seq: int = 9, dim: int = 8) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(dim, dim * 2), nn.Linear(dim, dim)
        self.norm, self.spatial = nn.LayerNorm(dim), nn.Conv1d(seq, seq, kernel_size=1)
        nn.init.constant_(self.spatial.bias, 1.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Any:
        u, v = functional.gelu(self.up(x)).chunk(2, dim=-1)
        return x + self.down(u * self.spatial(self.norm(v)))


class PoolFormerBlock(nn.Module):
    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, dim), nn.GroupNorm(1, dim)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.mlp = nn.Sequential(nn.Conv2d(dim, 2 * dim, 1), nn.GELU(), nn.Conv2d(2 * dim, dim, 1))
        self.layer_scale_1 = nn.Parameter(0.1 * torch.ones(dim), requires_grad=True)

    def forward(self, x: Tensor) -> Any:
        y = self.norm1(x)
        x = x + self.layer_scale_1.unsqueeze(-1).unsqueeze(-1) * (self.pool(y) - y)
        return x + self.mlp(self.norm2(x))


class WindowAttention(nn.Module):
    """Swin's: windows by view and permute, a cyclic shift, a mask and a bias by relative position in buffers."""

    relative_position_index: Tensor
    attn_mask: Tensor

    def __init__(self, dim: int = 8, heads: int = 2, side: int = 4, window: int = 2) -> None:
        super().__init__()
        self.window, self.heads, self.scale = window, heads, (dim // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.1)
        coords = torch.stack(torch.meshgrid([torch.arange(window), torch.arange(window)], indexing="ij")).flatten(1)
        relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous()
        relative[:, :, 0] += window - 1
        relative[:, :, 1] += window - 1
        relative[:, :, 0] *= 2 * window - 1
        self.register_buffer("relative_position_index", relative.sum(-1), persistent=False)
        img_mask = torch.zeros((1, side, side, 1))
        parts = (slice(0, -window), slice(-window, -1), slice(-1, None))
        for count, (h, w) in enumerate((h, w) for h in parts for w in parts):
            img_mask[:, h, w, :] = count
        mask = self.partition(img_mask).view(-1, window * window)
        attn_mask = mask.unsqueeze(1) - mask.unsqueeze(2)
        self.register_buffer("attn_mask", attn_mask.masked_fill(attn_mask != 0, -100.0).masked_fill(attn_mask == 0, 0))
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def partition(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        x = x.view(b, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.window, self.window, c)

    def forward(self, x: Tensor) -> Any:
        _, h, w, c = x.shape
        shifted = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        windows = self.partition(shifted).view(-1, self.window * self.window, c)
        b_, n, _ = windows.shape
        qkv = self.qkv(windows).reshape(b_, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = (q * self.scale) @ k.transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1)
        attn = attn + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        nw = self.attn_mask.shape[0]
        attn = attn.view(b_ // nw, nw, self.heads, n, n) + self.attn_mask.unsqueeze(1).unsqueeze(0)
        attn = attn.view(-1, self.heads, n, n).softmax(dim=-1)
        out = self.proj((attn @ v).transpose(1, 2).reshape(b_, n, c))
        out = out.view(-1, self.window, self.window, c)
        b = int(out.shape[0] / (h * w / self.window / self.window))
        out = out.view(b, h // self.window, w // self.window, self.window, self.window, -1)
        out = out.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)
        return torch.roll(out, shifts=(1, 1), dims=(1, 2))


class CompressedWindows(WindowAttention):
    """The same with the number of images kept from the input, as torchvision has it."""

    def forward(self, x: Tensor) -> Any:
        b, h, w, c = x.shape
        p = self.window
        windows = x.view(b, h // p, p, w // p, p, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, p * p, c)
        qkv = self.qkv(windows).reshape(windows.size(0), windows.size(1), 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attn = (q * self.scale).matmul(k.transpose(-2, -1))
        attn = attn.view(x.size(0), -1, self.heads, p * p, p * p)
        attn = (attn + self.attn_mask.unsqueeze(1).unsqueeze(0)).view(-1, self.heads, p * p, p * p)
        out = self.proj(functional.softmax(attn, dim=-1).matmul(v).transpose(1, 2).reshape(-1, p * p, c))
        return out.view(b, h // p, w // p, p, p, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)


class MobileVitBlock(nn.Module):
    """Tokens by unfolding and back, as timm has it."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.conv, self.block = nn.Conv2d(dim, dim, 3, padding=1), Block(dim)
        self.fusion = nn.Conv2d(2 * dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        shortcut = x
        x = self.conv(x)
        b, c, h, w = x.shape
        ph, pw = 2, 2
        x = x.reshape(b * c * (h // ph), ph, w // pw, pw).transpose(1, 2)
        x = x.reshape(b, c, (h // ph) * (w // pw), ph * pw).transpose(1, 3).reshape(b * ph * pw, -1, c)
        x = self.block(x)
        x = x.contiguous().view(b, ph * pw, (h // ph) * (w // pw), -1)
        x = x.transpose(1, 3).reshape(b * c * (h // ph), w // pw, ph, pw)
        x = x.transpose(1, 2).reshape(b, c, h, w)
        return self.fusion(torch.cat((shortcut, x), dim=1))


class CoAtNet(nn.Module):
    """Convolutions, then attention whose relative bias is gathered in forward."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.GELU())
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, CLASSES)
        self.table = nn.Parameter(torch.zeros(49, 2))
        places = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        relative = places[:, :, None] - places[:, None, :] + 3
        self.register_buffer("index", (relative[0] * 7 + relative[1]).flatten().unsqueeze(1))

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x).flatten(2).transpose(1, 2)
        q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        bias = self.table.gather(0, self.index.repeat(1, 2)).view(16, 16, 2).permute(2, 0, 1)
        attn = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) / 2 + bias.unsqueeze(0), dim=-1)
        return self.out(torch.matmul(attn, v).transpose(1, 2).flatten(2).mean(1))


class Perceiver(nn.Module):
    """Latents that are learned and ask the pixels; one layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(5, 12) * 0.02)
        self.to_kv = nn.Linear(5, 12)
        self.cross = nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, CLASSES)

    def forward(self, data: Tensor) -> Any:
        b, _, h, w = data.shape
        axes = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        position = torch.stack(axes).expand(b, 2, h, w)
        context = self.to_kv(torch.cat((data, position), dim=1).permute(0, 2, 3, 1).flatten(1, 2))
        x = self.latents.repeat(b, 1, 1)
        for _ in range(2):
            x = x + self.cross(self.norm(x), context, context)[0]
        return self.head(x.mean(dim=-2))


class Alibi(nn.Module):
    def __init__(self, dim: int = 8, heads: int = 4) -> None:
        super().__init__()
        self.in_proj, self.heads = nn.Linear(dim, 3 * dim), heads
        self.slopes = [2 ** (-8 * (i + 1) / heads) for i in range(heads)]

    def forward(self, x: Tensor) -> Any:
        n, t, c = x.shape
        q, k, v = self.in_proj(x).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        distance = torch.arange(t)[None, :] - torch.arange(t)[:, None]
        bias = torch.tensor(self.slopes).view(-1, 1, 1) * distance.clamp(max=0)
        causal = torch.full((t, t), float("-inf")).triu(1)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias + causal)
        return out.transpose(1, 2).reshape(n, t, c)


class LinearAttention(nn.Module):
    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)

    def forward(self, x: Tensor) -> Any:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        kv = torch.einsum("nld,nlm->ndm", k, v)
        z = 1 / (torch.einsum("nld,nd->nl", q, k.sum(dim=1)) + 1e-6)
        return torch.einsum("nld,ndm,nl->nlm", q, kv, z)


class Performer(nn.Module):
    """Random features in a buffer, a causal sum by cumsum."""

    projection: Tensor

    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.register_buffer("projection", torch.linalg.qr(torch.randn(10, 6))[0])

    def features(self, x: Tensor) -> Tensor:
        u = x @ self.projection.t()
        h = x.pow(2).sum(-1, keepdim=True) / 2
        return torch.exp(u - h - u.amax(dim=-1, keepdim=True).detach()) + 1e-4

    def forward(self, x: Tensor) -> Any:
        q, k, v = self.features(self.q(x)), self.features(self.k(x)), self.v(x)
        context = torch.einsum("...nd,...ne->...nde", k, v).cumsum(dim=-3)
        d_inv = 1.0 / torch.einsum("...nd,...nd->...n", q, k.cumsum(dim=-2))
        return torch.einsum("...nde,...nd,...n->...ne", context, q, d_inv)


def rotate_half(x: Tensor) -> Tensor:
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


class Rotary(nn.Module):
    """As in LLaMA of transformers: cos and sin kept from run to run in buffers that are no state."""

    inv_freq: Tensor

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim)), persistent=False)

    def forward(self, x: Tensor) -> Any:
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        t = torch.arange(x.shape[1], device=x.device, dtype=self.inv_freq.dtype)
        freqs = torch.einsum("i,j->ij", t, self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        cos, sin = emb.cos()[None].to(x.dtype), emb.sin()[None].to(x.dtype)
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        scores = (q @ k.transpose(1, 2)).masked_fill(~mask, torch.finfo(x.dtype).min)
        return functional.softmax(scores, dim=-1, dtype=torch.float32).to(x.dtype) @ v


class ComplexRotary(nn.Module):
    """As in Meta's LLaMA: pairs of numbers are complex ones."""

    freqs_cis: Tensor

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.wq, self.wk, self.wv = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        freqs = 1.0 / (10000.0 ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
        angles = torch.outer(torch.arange(9), freqs).float()
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def turned(self, x: Tensor) -> Tensor:
        x_ = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(x_ * self.freqs_cis).flatten(2).type_as(x)

    def forward(self, x: Tensor) -> Any:
        xq, xk, xv = self.turned(self.wq(x)), self.turned(self.wk(x)), self.wv(x)
        return torch.matmul(functional.softmax(torch.matmul(xq, xk.transpose(1, 2)) / 2.8, dim=-1), xv)


class FNet(nn.Module):
    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.norm, self.ff = nn.LayerNorm(dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Any:
        x = self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real)
        return x + functional.gelu(self.ff(x))


class GlobalFilter(nn.Module):
    """GFNet's: a learned filter on the spectrum."""

    def __init__(self, dim: int = 4, h: int = 6, w: int = 4) -> None:
        super().__init__()
        self.complex_weight = nn.Parameter(torch.randn(h, w, dim, 2, dtype=torch.float32) * 0.2)

    def forward(self, x: Tensor) -> Any:
        _, a, b, _ = x.shape
        x = torch.fft.rfft2(x, dim=(1, 2), norm="ortho")
        x = x * torch.view_as_complex(self.complex_weight)
        return torch.fft.irfft2(x, s=(a, b), dim=(1, 2), norm="ortho")


class SwiGlu(nn.Module):
    """LLaMA's feed-forward part with its own RMSNorm."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.w1, self.w2, self.w3 = (nn.Linear(*size, bias=False) for size in ((dim, 12), (12, dim), (dim, 12)))

    def forward(self, x: Tensor) -> Any:
        normal = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        normal = normal.type_as(x) * self.weight
        return x + self.w2(functional.silu(self.w1(normal)) * self.w3(normal))


class GroupedQuery(nn.Module):
    """Fewer keys than queries, repeated by expand."""

    def __init__(self) -> None:
        super().__init__()
        self.wq, self.wk, self.wv = nn.Linear(8, 16), nn.Linear(8, 8), nn.Linear(8, 8)
        self.q_norm, self.k_norm = nn.RMSNorm(4), nn.RMSNorm(4)

    @staticmethod
    def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
        bs, heads, slen, width = x.shape
        return x[:, :, None, :, :].expand(bs, heads, n_rep, slen, width).reshape(bs, heads * n_rep, slen, width)

    def forward(self, x: Tensor) -> Any:
        n, t, _ = x.shape
        q = self.q_norm(self.wq(x).view(n, t, 4, 4).transpose(1, 2))
        k, v = (self.repeat_kv(w(x).view(n, t, 2, 4).transpose(1, 2), 2) for w in (self.wk, self.wv))
        out = functional.scaled_dot_product_attention(q, self.k_norm(k), v, is_causal=True)
        return out.transpose(1, 2).contiguous().view(n, t, -1)


class TransformerXl(nn.Module):
    """Relative positions by the shift of a padded matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.qk, self.r = nn.Linear(8, 16), nn.Parameter(torch.randn(6, 8) * 0.3)

    def forward(self, x: Tensor) -> Any:
        q, k = self.qk(x).split(8, dim=2)
        ac = torch.bmm(q, k.mT)
        bd = torch.einsum("bid,jd->bij", q, self.r)
        b, i, j = bd.shape
        bd = functional.pad(bd, (1, 0)).view(b, j + 1, i)[:, 1:].view(b, i, j)
        return torch.bmm(torch.softmax((ac + bd) / 8**0.5, -1), x)


TOKENS: dict[str, Case] = {
    "vision transformer": Case(VisionTransformer),
    "vision transformer, stochastic depth": Case(lambda: VisionTransformer(drop_path=0.2)),
    "vision transformer, prompts": Case(lambda: VisionTransformer(prompts=3)),
    "nn.TransformerEncoder, positions by sine": Case(TorchTransformer),
    "MLP-Mixer": layer(MixerBlock, 9, 8),
    "gMLP": layer(SpatialGating, 9, 8),
    "PoolFormer": layer(PoolFormerBlock, 6, 5, 5),
    "Swin's shifted windows": layer(
        WindowAttention,
        4,
        4,
        8,
        refused="write it for any size, with x.shape[0], which len(x) is not, and a // b, which int(a / b) is not",
    ),
    "Swin's windows as in torchvision": layer(CompressedWindows, 4, 4, 8),
    "MobileViT's unfolding": layer(MobileVitBlock, 8, 6, 6),
    "CoAtNet": Case(CoAtNet),
    "Perceiver": Case(Perceiver),
    "ALiBi": layer(Alibi, 7, 8),
    "linear attention": layer(LinearAttention, 7, 8),
    "Performer": layer(Performer, 7, 6),
    "rotary embedding by halves": layer(Rotary, 9, 8),
    "rotary embedding, complex": layer(ComplexRotary, 9, 8),
    "FNet": layer(FNet, 6, 8),
    "GFNet": layer(GlobalFilter, 6, 6, 4),
    "SwiGLU": layer(SwiGlu, 5, 8),
    "grouped queries": layer(GroupedQuery, 6, 8),
    "Transformer-XL's shift": layer(TransformerXl, 6, 8),
}
