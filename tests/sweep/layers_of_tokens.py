"""Dense layers, embeddings, distances, attention, recurrent layers, and what holds others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.sweep.case import RENEWED, Case, layer


class _Words(nn.Module):
    """Of each number a word of 9, with a gradient that the numbers pass on too."""

    def __init__(self, layer_of_words: nn.Module, *further: Any) -> None:
        super().__init__()
        self.layer, self.further = layer_of_words, further

    def forward(self, x: Tensor) -> Tensor:
        words = (x.detach() * 4 + 4).round().long()
        given: Tensor = self.layer(words, *self.further)
        return given.flatten(1) * x.flatten(1).mean(1, keepdim=True)


class _Weighted(_Words):
    """With a weight for each word."""

    def forward(self, x: Tensor) -> Tensor:
        words = (x.detach() * 4 + 4).round().long()
        given: Tensor = self.layer(words, per_sample_weights=x)
        return given


class _Bags(nn.Module):
    """Bags of another number of words each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.EmbeddingBag(9, 5, mode="sum")

    def forward(self, x: Tensor) -> Tensor:
        words = (x.detach() * 4 + 4).round().long()
        given: Tensor = self.layer(words.flatten(), torch.arange(x.shape[0]) * words.shape[1])
        return given * x.mean(1, keepdim=True)


class _OfTwo(nn.Module):
    """A layer of two tensors: of x and another that is computed from it."""

    def __init__(self, layer_of_two: nn.Module) -> None:
        super().__init__()
        self.layer = layer_of_two

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, torch.sin(3 * x.flip(1)))


class _Attention(nn.Module):
    """Attention of tokens N×T×8 to others that are computed from them."""

    def __init__(self, own: Callable[[Tensor], dict[str, Tensor]] = lambda x: {}, cross: bool = False, **options: Any):
        super().__init__()
        options = {"batch_first": True} | options
        self.need_weights: bool | None = options.pop("need_weights", None)
        self.attention = nn.MultiheadAttention(8, 2, **options)
        self.own, self.cross = own, cross

    def forward(self, x: Tensor) -> Any:
        read = torch.sin(2 * x[:, :3]) if self.cross else x
        options: dict[str, Any] = {} if self.need_weights is None else {"need_weights": self.need_weights}
        key = read[..., : self.attention.kdim]
        value = read[..., : self.attention.vdim]
        if not self.attention.batch_first:
            turned = [part.transpose(0, 1) for part in (x, key, value)]
            given, weights = self.attention(*turned, **self.own(x), **options)
            return given.transpose(0, 1), weights
        if not self.cross:
            key = value = x
        return self.attention(x, key, value, **self.own(x), **options)[: 2 if self.need_weights is not False else 1]


def _causal(x: Tensor) -> dict[str, Tensor]:
    return {"attn_mask": torch.ones(4, 4, dtype=torch.bool).triu(1)}


def _additive(x: Tensor) -> dict[str, Tensor]:
    return {"attn_mask": torch.linspace(-1, 1, 16).view(4, 4)}


def _padded(x: Tensor) -> dict[str, Tensor]:
    # The first token is never padding.
    return {"key_padding_mask": torch.cat([torch.zeros(x.shape[0], 1, dtype=torch.bool), x[:, 1:, 0] > 0], 1)}


def _by_head(x: Tensor) -> dict[str, Tensor]:
    mask = torch.cat([torch.zeros(x.shape[0], 4, 1, dtype=torch.bool), x[:, :, 1:4] > 0.2], 2)
    return {"attn_mask": mask.repeat_interleave(2, 0)}


class _Masked(nn.Module):
    """A layer of a transformer that is given masks."""

    def __init__(self, layer_of_tokens: nn.Module, masks: Callable[[Tensor], dict[str, Any]]) -> None:
        super().__init__()
        self.layer, self.masks = layer_of_tokens, masks

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, **self.masks(x))


class _Decoder(_OfTwo):
    """A decoder with a causal mask."""

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, torch.sin(3 * x[:, :3]), tgt_mask=nn.Transformer.generate_square_subsequent_mask(4))


class _Last(nn.Module):
    """Of a cell: the state after three steps."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Any:
        state = None
        for step in range(3):
            state = self.cell(x[:, step], state)
        return state


class _Held(nn.Module):
    """Layers and parameters in a container, by place or by name."""

    def __init__(self, container: Any, run: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.container, self.run = container, run

    def forward(self, x: Tensor) -> Any:
        return self.run(self.container, x)


def _one_by_one(layers: Any, x: Tensor) -> Tensor:
    for one in layers.values() if isinstance(layers, nn.ModuleDict) else layers:
        x = one(x)
    return x


def _padded_at_the_end(x: Tensor) -> dict[str, Any]:
    return {"src_key_padding_mask": (torch.arange(x.shape[1]) >= x.shape[1] - 1).expand(x.shape[:2])}


def _encoder(**options: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **({"dropout": 0.0} | options))


def _decoder(**options: Any) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(8, 2, 12, batch_first=True, **({"dropout": 0.0} | options))


DENSE: dict[str, Case] = {
    "Linear": layer(lambda: nn.Linear(6, 5), 4, 6),
    "Linear, without bias": layer(lambda: nn.Linear(6, 5, bias=False), 6),
    "LazyLinear": layer(lambda: nn.LazyLinear(5), 6),
    "LazyLinear, not called": Case(
        lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)),
        "not initialized; call the module once on an example in its factory",
    ),
    "Bilinear": layer(lambda: _OfTwo(nn.Bilinear(6, 6, 5)), 6),
    "Bilinear, of tokens": layer(lambda: _OfTwo(nn.Bilinear(6, 6, 5, bias=False)), 4, 6),
    "Identity": layer(lambda: nn.Identity("what", ever=1), 6),
    "Flatten": layer(nn.Flatten, 2, 3, 4),
    "Flatten, of two axes": layer(lambda: nn.Flatten(-2, -1), 2, 3, 4),
    "Flatten, of all": layer(lambda: nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (-1, 6))), 6),
    "Unflatten": layer(lambda: nn.Unflatten(1, (2, 3)), 6),
    "Unflatten, of the last axis": layer(lambda: nn.Unflatten(-1, (-1, 2)), 3, 6),
    "CosineSimilarity": layer(lambda: _OfTwo(nn.CosineSimilarity()), 4, 6),
    "CosineSimilarity, of tokens": layer(lambda: _OfTwo(nn.CosineSimilarity(-1, eps=1e-3)), 4, 6),
    "PairwiseDistance": layer(lambda: _OfTwo(nn.PairwiseDistance(keepdim=True)), 6),
    "PairwiseDistance, by another norm": layer(lambda: _OfTwo(nn.PairwiseDistance(1.0)), 4, 6),
    "PairwiseDistance, by the third norm": layer(lambda: _OfTwo(nn.PairwiseDistance(3.0)), 4, 6),
    "PairwiseDistance, of the largest": layer(lambda: _OfTwo(nn.PairwiseDistance(float("inf"))), 4, 6),
}

EMBEDDINGS: dict[str, Case] = {
    "Embedding": layer(lambda: _Words(nn.Embedding(9, 5)), 4),
    "Embedding, with a padding row": layer(lambda: _Words(nn.Embedding(9, 5, padding_idx=4)), 4),
    "Embedding, by frequency": layer(lambda: _Words(nn.Embedding(9, 5, padding_idx=-1, scale_grad_by_freq=True)), 4),
    "Embedding, with a largest norm": layer(lambda: _Words(nn.Embedding(9, 5, max_norm=1.0)), 4, refused=RENEWED),
    "Embedding, sparse": layer(lambda: _Words(nn.Embedding(9, 5, sparse=True)), 4),
    "EmbeddingBag": layer(lambda: _Words(nn.EmbeddingBag(9, 5)), 4),
    "EmbeddingBag, sum": layer(lambda: _Words(nn.EmbeddingBag(9, 5, mode="sum", padding_idx=4)), 4),
    "EmbeddingBag, mean with a padding row": layer(lambda: _Words(nn.EmbeddingBag(9, 5, padding_idx=4)), 4),
    "EmbeddingBag, max": layer(lambda: _Words(nn.EmbeddingBag(9, 5, mode="max")), 4),
    "EmbeddingBag, max with a padding row": layer(lambda: _Words(nn.EmbeddingBag(9, 5, mode="max", padding_idx=4)), 4),
    "EmbeddingBag, weighted": layer(lambda: _Weighted(nn.EmbeddingBag(9, 5, mode="sum")), 4),
    "EmbeddingBag, weighted with a padding row": layer(
        lambda: _Weighted(nn.EmbeddingBag(9, 5, mode="sum", padding_idx=4)), 4
    ),
    "EmbeddingBag, by frequency": layer(
        lambda: _Words(nn.EmbeddingBag(9, 5, mode="sum", scale_grad_by_freq=True)),
        4,
        refused="torch divides a word's gradient by how often another word occurs: take F.embedding with "
        "scale_grad_by_freq, and sum what it gives",
    ),
    "EmbeddingBag, with a largest norm": layer(lambda: _Words(nn.EmbeddingBag(9, 5, max_norm=1.0)), 4, refused=RENEWED),
    "EmbeddingBag, by offsets": layer(_Bags, 4),
}

ATTENTION: dict[str, Case] = {
    "MultiheadAttention": layer(lambda: _Attention(need_weights=False), 4, 8),
    "MultiheadAttention, with weights": layer(_Attention, 4, 8),
    "MultiheadAttention, batch second": layer(lambda: _Attention(batch_first=False), 4, 8),
    "MultiheadAttention, without bias": layer(lambda: _Attention(bias=False, need_weights=False), 4, 8),
    "MultiheadAttention, causal": layer(lambda: _Attention(_causal), 4, 8),
    "MultiheadAttention, causal without weights": layer(lambda: _Attention(_causal, need_weights=False), 4, 8),
    "MultiheadAttention, additive mask": layer(lambda: _Attention(_additive, need_weights=False), 4, 8),
    "MultiheadAttention, padded": layer(lambda: _Attention(_padded), 4, 8),
    "MultiheadAttention, padded without weights": layer(lambda: _Attention(_padded, need_weights=False), 4, 8),
    "MultiheadAttention, a mask for each head": layer(lambda: _Attention(_by_head, need_weights=False), 4, 8),
    "MultiheadAttention, of others": layer(lambda: _Attention(cross=True), 4, 8),
    "MultiheadAttention, of others of other widths": layer(lambda: _Attention(cross=True, kdim=5, vdim=3), 4, 8),
    "MultiheadAttention, more keys": layer(lambda: _Attention(add_bias_kv=True, add_zero_attn=True), 4, 8),
    "MultiheadAttention, dropout": layer(lambda: _Attention(dropout=0.2, need_weights=False), 4, 8),
    "TransformerEncoderLayer": layer(_encoder, 4, 8),
    "TransformerEncoderLayer, norm first": layer(
        lambda: _encoder(norm_first=True, activation="gelu", bias=False), 4, 8
    ),
    "TransformerEncoderLayer, dropout": layer(lambda: _encoder(dropout=0.1), 4, 8),
    "TransformerEncoderLayer, batch second": layer(lambda: nn.TransformerEncoderLayer(8, 2, 12, 0.0), 4, 8),
    "TransformerEncoderLayer, padded": layer(
        lambda: _Masked(_encoder(), lambda x: {"src_key_padding_mask": _padded(x)["key_padding_mask"]}), 4, 8
    ),
    "TransformerEncoderLayer, causal": layer(
        lambda: _Masked(_encoder(), lambda x: {"src_mask": nn.Transformer.generate_square_subsequent_mask(4)}), 4, 8
    ),
    "TransformerEncoder": layer(lambda: nn.TransformerEncoder(_encoder(), 2, nn.LayerNorm(8)), 4, 8),
    "TransformerEncoder, padded": layer(
        lambda: _Masked(
            nn.TransformerEncoder(_encoder(), 2),
            lambda x: {"src_key_padding_mask": _padded(x)["key_padding_mask"], "mask": _causal(x)["attn_mask"]},
        ),
        *(4, 8),
    ),
    "TransformerEncoder, padded at the end": layer(
        lambda: _Masked(nn.TransformerEncoder(_encoder(), 2, enable_nested_tensor=False), _padded_at_the_end), 4, 8
    ),
    "TransformerEncoder, nested": layer(
        lambda: _Masked(nn.TransformerEncoder(_encoder(), 2), _padded_at_the_end),
        *(4, 8),
        refused="makes nested tensors in evaluation, which no graph has: make it with enable_nested_tensor=False",
    ),
    "TransformerEncoder, causal": layer(
        lambda: _Masked(
            nn.TransformerEncoder(_encoder(), 2),
            lambda x: {"mask": nn.Transformer.generate_square_subsequent_mask(4), "is_causal": True},
        ),
        *(4, 8),
    ),
    "TransformerDecoderLayer": layer(lambda: _OfTwo(_decoder()), 4, 8),
    "TransformerDecoderLayer, causal": layer(lambda: _Decoder(_decoder(norm_first=True)), 4, 8),
    "TransformerDecoder": layer(lambda: _Decoder(nn.TransformerDecoder(_decoder(), 2, nn.LayerNorm(8))), 4, 8),
    "TransformerDecoder, without masks": layer(lambda: _OfTwo(nn.TransformerDecoder(_decoder(), 2)), 4, 8),
    "Transformer": layer(
        lambda: _Held(
            nn.Transformer(8, 2, 1, 1, 12, 0.0, batch_first=True),
            lambda own, x: own(torch.sin(3 * x[:, :3]), x, tgt_mask=own.generate_square_subsequent_mask(4)),
        ),
        *(4, 8),
    ),
    "Transformer, batch second": layer(
        lambda: _Held(
            nn.Transformer(8, 2, 1, 1, 12, 0.0, activation="gelu", norm_first=True),
            lambda own, x: own(x.transpose(0, 1), torch.sin(3 * x).transpose(0, 1)).transpose(0, 1),
        ),
        *(4, 8),
    ),
}

RECURRENT: dict[str, Case] = {
    "RNN": layer(lambda: _Held(nn.RNN(6, 5, batch_first=True, nonlinearity="relu"), lambda rnn, x: rnn(x)[0]), 4, 6),
    "LSTM": layer(
        lambda: _Held(nn.LSTM(6, 5, bidirectional=True), lambda lstm, x: lstm(x.transpose(0, 1))[1][0][0]), 4, 6
    ),
    "LSTM, with projections": layer(
        lambda: _Held(nn.LSTM(6, 5, proj_size=3, batch_first=True), lambda lstm, x: lstm(x)[0]),
        *(4, 6),
        refused="an LSTM with proj_size has no form here: leave it out, and put a Linear behind the layer",
    ),
    "GRU": layer(lambda: _Held(nn.GRU(6, 5, 2, batch_first=True), lambda gru, x: gru(x)[0][:, -1]), 4, 6),
    "RNNCell": layer(lambda: _Last(nn.RNNCell(6, 5)), 3, 6),
    "RNNCell, relu": layer(lambda: _Last(nn.RNNCell(6, 5, bias=False, nonlinearity="relu")), 3, 6),
    "LSTMCell": layer(lambda: _Last(nn.LSTMCell(6, 5)), 3, 6),
    "GRUCell": layer(lambda: _Last(nn.GRUCell(6, 5)), 3, 6),
}

CONTAINERS: dict[str, Case] = {
    "Sequential": layer(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh()), 6),
    "ModuleList": layer(lambda: _Held(nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 5)]), _one_by_one), 6),
    "ModuleDict": layer(lambda: _Held(nn.ModuleDict({"a": nn.Linear(6, 5), "b": nn.Tanh()}), _one_by_one), 6),
    "ParameterList": layer(
        lambda: _Held(nn.ParameterList([torch.ones(6), torch.zeros(6)]), lambda own, x: x * own[0] + own[1]), 6
    ),
    "ParameterDict": layer(
        lambda: _Held(
            nn.ParameterDict({"a": torch.ones(6), "b": torch.zeros(6)}), lambda own, x: x * own["a"] + own["b"]
        ),
        6,
    ),
    "DataParallel": layer(lambda: nn.DataParallel(nn.Linear(6, 5)), 6),
}
