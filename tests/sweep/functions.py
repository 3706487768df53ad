"""The functions of torch.nn.functional, by their names there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.sweep.case import RENEWED, Case, factory_of, function
from tests.sweep.case_functions import in_training, weighted
from tests.sweep.functions_of_images import OF_IMAGES
from tests.sweep.functions_of_losses import OF_LOSSES

# As users call them, with what torch's annotations leave out.
F: Any = functional

ACTIVATIONS: dict[str, Case] = {
    "threshold": function(lambda x: F.threshold(x, 0.1, 0.3), 12),
    "threshold_": function(lambda x: F.threshold_(x * 2, 0.1, -0.3), 12),
    "threshold, in place": function(lambda x: F.threshold(x * 2, 0.1, 0.3, inplace=True), 12),
    "relu": function(F.relu, 12),
    "relu_": function(lambda x: F.relu_(x - 0.1), 12),
    "relu, at 0": function(lambda x: F.relu(x * (x > 0)) + F.relu6(x * 0.0), 12),
    "glu": function(F.glu, 4, 6),
    "glu, of channels": function(lambda x: F.glu(x, dim=1), 4, 6),
    "hardtanh": function(lambda x: F.hardtanh(x, -0.3, 0.4), 12),
    "hardtanh_": function(lambda x: F.hardtanh_(x * 3), 12),
    "relu6": function(lambda x: F.relu6(x * 12), 12),
    "relu6, in place": function(lambda x: F.relu6(x * 12, inplace=True), 12),
    "elu": function(lambda x: F.elu(x, 0.7), 12),
    "elu_": function(lambda x: F.elu_(x * 2), 12),
    "selu": function(F.selu, 12),
    "selu_": function(lambda x: F.selu_(x * 2), 12),
    "celu": function(lambda x: F.celu(x, 0.7), 12),
    "celu_": function(lambda x: F.celu_(x * 2, 1.3), 12),
    "leaky_relu": function(lambda x: F.leaky_relu(x, 0.2), 12),
    "leaky_relu_": function(lambda x: F.leaky_relu_(x * 2), 12),
    "leaky_relu, negative slope": function(lambda x: F.leaky_relu(x, -0.3), 12),
    "prelu": weighted(F.prelu, (4, 6), (4,)),
    "prelu, one slope": weighted(F.prelu, (4, 6), (1,)),
    "prelu, of images": weighted(F.prelu, (4, 6, 6), (4,)),
    "rrelu": in_training(lambda x, training: F.rrelu(x, 0.1, 0.4, training), 12),
    "rrelu, of a model that does not train": function(lambda x: F.rrelu(x, 0.1, 0.4), 12),
    "rrelu_": in_training(lambda x, training: F.rrelu_(x * 2, training=training), 12),
    "logsigmoid": function(F.logsigmoid, 12),
    "logsigmoid, far from 0": function(lambda x: F.logsigmoid(x * 200) * 0.01, 12),
    "gelu": function(F.gelu, 12),
    "gelu, tanh": function(lambda x: F.gelu(x, approximate="tanh"), 12),
    "hardshrink": function(lambda x: F.hardshrink(x, 0.2), 12),
    "tanhshrink": function(F.tanhshrink, 12),
    "softshrink": function(lambda x: F.softshrink(x, 0.2), 12),
    "softsign": function(F.softsign, 12),
    "softplus": function(lambda x: F.softplus(x, 2.0, 0.5), 12),
    "softplus, far from 0": function(lambda x: F.softplus(x * 100) * 0.01, 12),
    "softmin": function(lambda x: F.softmin(x, dim=1), 4, 6),
    "softmax": function(lambda x: F.softmax(x, dim=-1), 4, 6),
    "softmax, of channels": function(lambda x: F.softmax(x, 1), 4, 6, 6),
    "softmax, in float64": function(lambda x: F.softmax(x, -1, dtype=torch.float64), 4, 6),
    "softmax, without a dim": function(lambda x: F.softmax(x), 4, 6),
    "log_softmax": function(lambda x: F.log_softmax(x, dim=1), 4, 6),
    "gumbel_softmax": in_training(
        lambda x, training: F.gumbel_softmax(x, tau=0.7) if training else F.softmax(x, -1), 4, 6
    ),
    "gumbel_softmax, hard": in_training(
        lambda x, training: F.gumbel_softmax(x, hard=True, dim=1) * 0.5 + x if training else x, 4, 6
    ),
    "gumbel_softmax, in evaluation": function(
        F.gumbel_softmax,
        4,
        6,
        refused="draws random numbers in evaluation too, in the model itself: guard it by self.training",
    ),
    "tanh": function(F.tanh, 12),
    "sigmoid": function(F.sigmoid, 12),
    "hardsigmoid": function(lambda x: F.hardsigmoid(x * 5), 12),
    "hardsigmoid, in place": function(lambda x: F.hardsigmoid(x * 5, inplace=True), 12),
    "silu": function(F.silu, 12),
    "silu, in place": function(lambda x: F.silu(x * 2, inplace=True), 12),
    "mish": function(F.mish, 12),
    "mish, in place": function(lambda x: F.mish(x * 2, inplace=True), 12),
    "hardswish": function(lambda x: F.hardswish(x * 5), 12),
    "hardswish, in place": function(lambda x: F.hardswish(x * 5, inplace=True), 12),
    "dropout": in_training(lambda x, training: F.dropout(x, 0.3, training), 12),
    "dropout, in place": in_training(lambda x, training: F.dropout(x * 2, 0.3, training, inplace=True), 12),
    "dropout, of all": in_training(lambda x, training: x + F.dropout(x, 1.0, training), 12),
    "dropout, of nothing": function(lambda x: F.dropout(x, 0.0), 12),
    "dropout, in evaluation": function(
        F.dropout, 12, refused="draws random numbers in evaluation too, in the model itself: guard it by self.training"
    ),
    "alpha_dropout": in_training(lambda x, training: F.alpha_dropout(x, 0.3, training), 12),
    "dropout1d": in_training(lambda x, training: F.dropout1d(x, 0.3, training), 4, 6),
    "dropout2d": in_training(lambda x, training: F.dropout2d(x, 0.3, training), 4, 6, 6),
    "dropout3d": in_training(lambda x, training: F.dropout3d(x, 0.3, training), 4, 2, 3, 3),
    "feature_alpha_dropout": in_training(lambda x, training: F.feature_alpha_dropout(x, 0.3, training), 4, 6, 6),
}

LAYERS: dict[str, Case] = {
    "linear": weighted(F.linear, (12,), (5, 12), (5,)),
    "linear, without bias, of tokens": weighted(F.linear, (4, 6), (5, 6)),
    "linear, with a computed weight": weighted(lambda x, w: F.linear(x, torch.tanh(w) * 2), (12,), (5, 12)),
    "bilinear": weighted(lambda x, w, b: F.bilinear(x[:, :5], x[:, 5:], w, b), (12,), (3, 5, 7), (3,)),
    "bilinear, of tokens": weighted(lambda x, w: F.bilinear(x[..., :2], x[..., 2:], w), (4, 6), (3, 2, 4)),
    "embedding": weighted(lambda x, w: x + F.embedding(_words(x), w), (4, 6), (5, 6)),
    "embedding, padded": weighted(lambda x, w: x + F.embedding(_words(x), w, padding_idx=0), (4, 6), (5, 6)),
    "embedding, negative padding": weighted(lambda x, w: x + F.embedding(_words(x), w, padding_idx=-1), (4, 6), (5, 6)),
    "embedding, by frequency": weighted(
        lambda x, w: x + F.embedding(_words(x), w, scale_grad_by_freq=True), (4, 6), (5, 6)
    ),
    "embedding, with max_norm": weighted(
        lambda x, w: x + F.embedding(_words(x), w, max_norm=1.0), (4, 6), (5, 6), refused=RENEWED
    ),
    "embedding, sparse": weighted(lambda x, w: x + F.embedding(_words(x), w, sparse=True), (4, 6), (5, 6)),
    "embedding_bag": weighted(lambda x, w: F.embedding_bag(_words(x), w) + x[:, 0], (4, 6), (5, 6)),
    "embedding_bag, sum": weighted(lambda x, w: F.embedding_bag(_words(x), w, mode="sum") + x[:, 0], (4, 6), (5, 6)),
    "embedding_bag, max": weighted(lambda x, w: F.embedding_bag(_words(x), w, mode="max") + x[:, 0], (4, 6), (5, 6)),
    "embedding_bag, weighted": weighted(
        lambda x, w: F.embedding_bag(_words(x), w, mode="sum", per_sample_weights=x[:, :, 0]), (4, 6), (5, 6)
    ),
    "embedding_bag, padded": weighted(
        lambda x, w: F.embedding_bag(_words(x), w, padding_idx=2, mode="mean") + x[:, 0], (4, 6), (5, 6)
    ),
    "embedding_bag, padded, max": weighted(
        lambda x, w: F.embedding_bag(_words(x), w, padding_idx=2, mode="max") + x[:, 0], (4, 6), (5, 6)
    ),
    "embedding_bag, by offsets": weighted(
        lambda x, w: F.embedding_bag(_words(x).flatten(), w, torch.arange(0, 4 * x.shape[0], 4)) + x[:, 0],
        *((4, 6), (5, 6)),
    ),
    "embedding_bag, by offsets with the last": weighted(
        lambda x, w: (
            F.embedding_bag(
                _words(x).flatten(), w, torch.arange(0, 4 * x.shape[0] + 1, 4), mode="sum", include_last_offset=True
            )
            + x[:, 0]
        ),
        *((4, 6), (5, 6)),
    ),
    "one_hot": function(lambda x: x + F.one_hot(_words(x), 6), 4, 6),
    "one_hot, of unknown length": function(
        lambda x: x[..., :1] * F.one_hot(_words(x)),
        4,
        6,
        refused="is as long as the largest value is high, which no graph knows: give it num_classes",
    ),
    "conv1d": weighted(lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1), (4, 9), (6, 4, 3), (6,)),
    "conv1d, same": weighted(lambda x, w: F.conv1d(x, w, padding="same", dilation=2), (4, 9), (6, 4, 3)),
    "conv2d": weighted(lambda x, w, b: F.conv2d(x, w, b, padding=1), (4, 6, 6), (6, 4, 3, 3), (6,)),
    "conv2d, same": weighted(lambda x, w: F.conv2d(x, w, padding="same"), (4, 6, 6), (6, 4, 4, 3)),
    "conv2d, valid": weighted(lambda x, w: F.conv2d(x, w, padding="valid", stride=(2, 1)), (4, 6, 6), (6, 4, 3, 3)),
    "conv2d, in groups": weighted(lambda x, w: F.conv2d(x, w, groups=4), (4, 6, 6), (4, 1, 3, 3)),
    "conv2d, of a fixed filter": function(
        lambda x: F.conv2d(x, torch.ones(4, 1, 3, 3) / 9, groups=4, padding=1), 4, 6, 6
    ),
    "conv2d, with each image's own kernel": function(
        lambda x: F.conv2d(x.reshape(1, -1, 6, 6), x[:, :, :3, :3].reshape(-1, 1, 3, 3), groups=4 * x.shape[0]).reshape(
            x.shape[0], 4, 4, 4
        ),
        *(4, 6, 6),
    ),
    "conv3d": weighted(lambda x, w, b: F.conv3d(x, w, b, padding=1), (2, 3, 4, 4), (3, 2, 3, 3, 3), (3,)),
    "conv_transpose1d": weighted(lambda x, w, b: F.conv_transpose1d(x, w, b, stride=2), (4, 6), (4, 3, 3), (3,)),
    "conv_transpose2d": weighted(
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        *((4, 4, 4), (4, 3, 3, 3), (3,)),
    ),
    "conv_transpose2d, in groups": weighted(
        lambda x, w: F.conv_transpose2d(x, w, groups=2, dilation=2), (4, 4, 4), (4, 3, 3, 3)
    ),
    "conv_transpose3d": weighted(lambda x, w: F.conv_transpose3d(x, w, stride=2), (2, 3, 3, 3), (2, 2, 2, 2, 2)),
    "conv_tbc": weighted(
        lambda x, w, b: torch.stack(F.conv_tbc(x.transpose(0, 1).contiguous(), w, b, 1).unbind(0), 1),
        (6, 4),
        (3, 4, 5),
        (5,),
    ),
    "batch_norm": weighted(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (4, 6, 6), (4,), (4,)),
    "batch_norm, of vectors": weighted(lambda x, w: F.batch_norm(x, None, None, w, training=True), (6,), (6,)),
    "batch_norm, without weights": function(lambda x: F.batch_norm(x, None, None, training=True), 4, 6, 6),
    "batch_norm, by given statistics": function(lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)), 4, 6, 6),
    "batch_norm, of a weight": weighted(
        lambda x, w: F.conv2d(x, F.batch_norm(w.view(1, 6, -1), None, None, training=True).view_as(w)),
        *((4, 6, 6), (6, 4, 3, 3)),
    ),
    "batch_norm, of a weight, scaled by a gain": weighted(
        lambda x, w, g: F.conv2d(
            x, F.batch_norm(w.view(1, 6, -1), None, None, weight=g.view(-1) * 0.3, training=True, eps=1e-6).view_as(w)
        ),
        *((4, 6, 6), (6, 4, 3, 3), (6, 1, 1, 1)),
    ),
    "batch_norm, of a weight with momentum 0": weighted(
        lambda x, w: F.linear(x, F.batch_norm(w, None, None, training=True, momentum=0.0)), (12,), (5, 12)
    ),
    "weight standardisation": weighted(
        lambda x, w: F.conv2d(
            x, (w - w.mean((1, 2, 3), keepdim=True)) / torch.sqrt(w.var((1, 2, 3), keepdim=True) + 1e-5)
        ),
        *((4, 6, 6), (6, 4, 3, 3)),
    ),
    "instance_norm": weighted(lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (4, 6, 6), (4,), (4,)),
    "instance_norm, of sequences": function(F.instance_norm, 4, 6),
    "instance_norm, of volumes": function(F.instance_norm, 4, 2, 3, 3),
    "layer_norm": weighted(lambda x, w, b: F.layer_norm(x, (4, 6), w, b), (4, 6), (4, 6), (4, 6)),
    "layer_norm, without weights": function(lambda x: F.layer_norm(x, x.shape[-1:]), 4, 6),
    "layer_norm, without bias": weighted(lambda x, w: F.layer_norm(x, (6,), w, eps=1e-3), (4, 6), (6,)),
    "layer_norm, of a weight": weighted(lambda x, w: F.linear(x, F.layer_norm(w, (12,))), (12,), (5, 12)),
    "rms_norm": weighted(lambda x, w: F.rms_norm(x, (6,), w), (4, 6), (6,)),
    "rms_norm, without weight": function(lambda x: F.rms_norm(x, (4, 6), eps=1e-4), 4, 6),
    "group_norm": weighted(lambda x, w, b: F.group_norm(x, 2, w, b), (4, 6, 6), (4,), (4,)),
    "group_norm, without weights": function(lambda x: F.group_norm(x, 4), 4, 6),
    "group_norm, of a weight": weighted(lambda x, w: F.linear(x, F.group_norm(w, 3)), (12,), (5, 12)),
    "local_response_norm": function(lambda x: F.local_response_norm(x, 3, 0.1, 0.6), 4, 6, 6),
    "local_response_norm, of sequences": function(lambda x: F.local_response_norm(x, 2), 4, 6),
    "normalize": function(F.normalize, 4, 6),
    "normalize, p = 1": function(lambda x: F.normalize(x, 1.0, -1), 4, 6),
    "normalize, p = 3": function(lambda x: F.normalize(x, p=3, dim=(1, 2)), 4, 6),
    "normalize, by the largest": function(lambda x: F.normalize(x, float("inf"), -1), 4, 6),
    "normalize, of zeros": function(lambda x: F.normalize(x * (x > 2), dim=-1) + x, 4, 6),
    "normalize, of a weight": weighted(lambda x, w: F.linear(F.normalize(x), F.normalize(w)), (12,), (5, 12)),
    "cosine_similarity": function(lambda x: F.cosine_similarity(x[:, :2], x[:, 2:], dim=-1), 4, 6),
    "cosine_similarity, broadcast": function(
        lambda x: F.cosine_similarity(x.unsqueeze(1), x.unsqueeze(2), dim=-1), 4, 6
    ),
    "pairwise_distance": function(lambda x: F.pairwise_distance(x[:, :2], x[:, 2:], keepdim=True), 4, 6),
    "pairwise_distance, p = 1": function(lambda x: F.pairwise_distance(x[:, :2], x[:, 2:], 1.0), 4, 6),
    "pairwise_distance, largest": function(lambda x: F.pairwise_distance(x[:, :2], x[:, 2:], float("inf")), 4, 6),
    "pdist": function(
        lambda x: x * F.pdist(x).sum(),
        6,
        refused="is no multiple of the batch N: compare the rows of each image, or all with all by torch.cdist",
    ),
    "pdist, of a weight": weighted(lambda x, w: x * F.pdist(w).mean(), (12,), (5, 12)),
    "scaled_dot_product_attention": function(lambda x: _attended(x), 2, 5, 4),
    "scaled_dot_product_attention, causal": function(lambda x: _attended(x, is_causal=True), 2, 5, 4),
    "scaled_dot_product_attention, scaled": function(lambda x: _attended(x, scale=0.3), 2, 5, 4),
    "scaled_dot_product_attention, with a mask": function(
        lambda x: _attended(x, attn_mask=torch.ones(5, 5).tril().bool()), 2, 5, 4
    ),
    "scaled_dot_product_attention, with a mask of each image": function(
        lambda x: _attended(x, attn_mask=(x[:, :1, :, 0] > -2).unsqueeze(2)), 2, 5, 4
    ),
    "scaled_dot_product_attention, with a row masked": function(
        lambda x: _attended(x, attn_mask=(torch.arange(5) > 0).unsqueeze(1)), 2, 5, 4
    ),
    "scaled_dot_product_attention, with a bias": weighted(
        lambda x, bias: _attended(x, attn_mask=bias), (2, 5, 4), (5, 5)
    ),
    "scaled_dot_product_attention, with fewer keys": function(
        lambda x: F.scaled_dot_product_attention(x[:, :], x[:, :1], x[:, 1:], enable_gqa=True), 2, 5, 4
    ),
    "scaled_dot_product_attention, of one head": function(lambda x: _attended(x), 5, 4),
    "scaled_dot_product_attention, across": function(
        lambda x: F.scaled_dot_product_attention(x[:, :, :2], x, x * 0.5, dropout_p=0.0), 2, 5, 4
    ),
    "scaled_dot_product_attention, with dropout": in_training(
        lambda x, training: _attended(x, dropout_p=0.2 if training else 0.0), 2, 5, 4
    ),
    "multi_head_attention_forward": weighted(
        lambda x, w, b, v, c: _heads(x, w, b, v, c), (5, 4), (12, 4), (12,), (4, 4), (4,)
    ),
    "multi_head_attention_forward, with weights": weighted(
        lambda x, w, v: _heads(x, w, None, v, None, need_weights=True), (5, 4), (12, 4), (4, 4)
    ),
    "multi_head_attention_forward, masked": weighted(
        lambda x, w, v: _heads(x, w, None, v, None, attn_mask=torch.ones(5, 5).triu(1).bool(), is_causal=True),
        *((5, 4), (12, 4), (4, 4)),
    ),
    "multi_head_attention_forward, padded": weighted(
        lambda x, w, v: _heads(x, w, None, v, None, key_padding_mask=(x[..., 0] > 2)), (5, 4), (12, 4), (4, 4)
    ),
    "multi_head_attention_forward, with biases of key and value": weighted(
        lambda x, w, v, k: _heads(x, w, None, v, None, bias_k=k, bias_v=k * 2), (5, 4), (12, 4), (4, 4), (1, 1, 4)
    ),
    "multi_head_attention_forward, with a bias for each head": weighted(
        lambda x, w, v, m: _heads(x, w, None, v, None, attn_mask=m.repeat(x.shape[0], 1, 1)),
        *((5, 4), (12, 4), (4, 4), (2, 5, 5)),
    ),
    "multi_head_attention_forward, with a zero": weighted(
        lambda x, w, v: _heads(x, w, None, v, None, zero=True), (5, 4), (12, 4), (4, 4)
    ),
}

# Not tried here, and why.
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("Callable", "Optional", "Tensor", "DType", "ScalingType", "SwizzleType"), "a type"),
    **dict.fromkeys(("boolean_dispatch", "assert_int_or_pair"), "a helper of torch's own"),
    **dict.fromkeys(
        (
            *("handle_torch_function", "has_torch_function", "has_torch_function_unary"),
            "has_torch_function_variadic",
        ),
        "a helper of torch's own",
    ),
    "grouped_mm": "of bfloat16 alone",
    **dict.fromkeys(("scaled_mm", "scaled_grouped_mm"), "of 8-bit numbers, which have no gradient"),
}


def _words(x: Tensor) -> Tensor:
    """int64 N×4 below 5: words that differ from image to image."""
    return (torch.arange(4) * 3 + torch.arange(x.shape[0]).unsqueeze(1)) % 5


def _attended(x: Tensor, **options: object) -> Tensor:
    attended: Tensor = F.scaled_dot_product_attention(x, torch.sin(2 * x), x * x, **options)
    return attended


def _heads(x: Tensor, w: Tensor, b: Tensor | None, v: Tensor, c: Tensor | None, **options: Any) -> Tensor:
    """Of N×T×C; what torch's layer would give with its options."""
    t, zero, keys = x.transpose(0, 1), options.pop("zero", False), [options.pop(n, None) for n in ("bias_k", "bias_v")]
    given = {"need_weights": False, **options}
    y, weights = F.multi_head_attention_forward(t, t, t, 4, 2, w, b, *keys, zero, 0.0, v, c, **given)
    y = y.transpose(0, 1).flatten(1)
    return y if weights is None else torch.cat([y, weights.flatten(1)], 1)


KINDS: Mapping[str, Mapping[str, Case]] = {
    "activations": ACTIVATIONS,
    "layers": LAYERS,
    "of images": OF_IMAGES,
    "losses": OF_LOSSES,
}
FUNCTIONS: dict[str, Case] = {name: case for cases in KINDS.values() for name, case in cases.items()}

__getattr__ = factory_of(FUNCTIONS)
