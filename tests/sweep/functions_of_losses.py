"""The losses of torch.nn.functional, which a model may use as functions of tensors, by their names there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.sweep.case import Case, function
from tests.sweep.case_functions import chances, labels, loss, pixel_labels, signs, weighted

# As users call them, with what torch's annotations leave out.
F: Any = functional

_REDUCTIONS = ("mean", "sum", "none")


def _weights(count: int) -> Tensor:
    return torch.linspace(0.5, 1.5, count)


def _ignored(x: Tensor) -> Tensor:
    """Labels of which some are −100."""
    return torch.where(labels(x) == 1, -100, labels(x))


OF_LOSSES: dict[str, Case] = {
    **{
        f"cross_entropy, {r}": loss(lambda a, b, r=r: F.cross_entropy(a, labels(a), reduction=r), 4)
        for r in _REDUCTIONS
    },
    "cross_entropy, smoothed": loss(lambda a, b: F.cross_entropy(a, labels(a), label_smoothing=0.1), 4),
    "cross_entropy, of chances": loss(lambda a, b: F.cross_entropy(a, b.softmax(1)), 4),
    "cross_entropy, of chances, smoothed": loss(
        lambda a, b: F.cross_entropy(a, b.softmax(1), label_smoothing=0.1, reduction="none"), 4
    ),
    "cross_entropy, with class weights": loss(lambda a, b: F.cross_entropy(a, labels(a), _weights(4)), 4),
    "cross_entropy, with class weights, smoothed": loss(
        lambda a, b: F.cross_entropy(a, labels(a), _weights(4), label_smoothing=0.2), 4
    ),
    "cross_entropy, with an ignored label": loss(lambda a, b: F.cross_entropy(a, _ignored(a)), 4),
    "cross_entropy, with ignored label 2": loss(
        lambda a, b: F.cross_entropy(a, labels(a), ignore_index=2, reduction="sum"), 4
    ),
    "cross_entropy, of pixels": loss(lambda a, b: F.cross_entropy(a, pixel_labels(a)), 4, 3, 3),
    "cross_entropy, of each pixel, with class weights": loss(
        lambda a, b: F.cross_entropy(a, pixel_labels(a), _weights(4), reduction="none"), 4, 3, 3
    ),
    "cross_entropy, of tokens": loss(
        lambda a, b: F.cross_entropy(a.transpose(1, 2), labels(a).unsqueeze(1).expand(-1, 4) % 3), 4, 3
    ),
    **{
        f"nll_loss, {r}": loss(lambda a, b, r=r: F.nll_loss(a.log_softmax(1), labels(a), reduction=r), 4)
        for r in _REDUCTIONS
    },
    "nll_loss, weighted, with an ignored label": loss(
        lambda a, b: F.nll_loss(a.log_softmax(1), _ignored(a), _weights(4)), 4
    ),
    "nll_loss, of pixels": loss(lambda a, b: F.nll_loss(a.log_softmax(1), pixel_labels(a), _weights(4)), 4, 3, 3),
    **{f"mse_loss, {r}": loss(lambda a, b, r=r: F.mse_loss(a, b, reduction=r), 5) for r in _REDUCTIONS},
    "mse_loss, weighted": loss(lambda a, b: F.mse_loss(a, b, weight=_weights(5).expand_as(a)), 5),
    **{f"l1_loss, {r}": loss(lambda a, b, r=r: F.l1_loss(a, b, reduction=r), 5) for r in _REDUCTIONS},
    "l1_loss, of equals": loss(lambda a, b: F.l1_loss(a, a.detach()) + F.l1_loss(a, b * (b > 2)), 5),
    "l1_loss, weighted": loss(lambda a, b: F.l1_loss(a, b, weight=_weights(5).expand_as(a)), 5),
    **{
        f"smooth_l1_loss, {r}": loss(lambda a, b, r=r: F.smooth_l1_loss(a, b, reduction=r, beta=0.3), 5)
        for r in _REDUCTIONS
    },
    "smooth_l1_loss, of beta 0": loss(lambda a, b: F.smooth_l1_loss(a, b, beta=0.0), 5),
    **{f"huber_loss, {r}": loss(lambda a, b, r=r: F.huber_loss(a, b, reduction=r, delta=0.4), 5) for r in _REDUCTIONS},
    "huber_loss, weighted": loss(lambda a, b: F.huber_loss(a, b, weight=_weights(5).expand_as(a)), 5),
    **{
        f"binary_cross_entropy, {r}": loss(lambda a, b, r=r: F.binary_cross_entropy(*chances(a, b), reduction=r), 5)
        for r in _REDUCTIONS
    },
    "binary_cross_entropy, weighted": loss(lambda a, b: F.binary_cross_entropy(*chances(a, b), weight=_weights(5)), 5),
    "binary_cross_entropy, at 0 and 1": loss(
        lambda a, b: F.binary_cross_entropy((a > 0).float() * a.detach().sign(), (b > 0).float()) * 0.01 + a.sum(), 5
    ),
    **{
        f"binary_cross_entropy_with_logits, {r}": loss(
            lambda a, b, r=r: F.binary_cross_entropy_with_logits(a, b.sigmoid(), reduction=r), 5
        )
        for r in _REDUCTIONS
    },
    "binary_cross_entropy_with_logits, weighted": loss(
        lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid(), _weights(5), pos_weight=2 * _weights(5)), 5
    ),
    **{
        f"kl_div, {r}": loss(lambda a, b, r=r: F.kl_div(a.log_softmax(1), b.softmax(1), reduction=r), 5)
        for r in (*_REDUCTIONS, "batchmean")
    },
    "kl_div, of logarithms": loss(
        lambda a, b: F.kl_div(a.log_softmax(1), b.log_softmax(1), reduction="batchmean", log_target=True), 5
    ),
    "kl_div, of zeros": loss(lambda a, b: F.kl_div(a.log_softmax(1), F.relu(b).detach(), reduction="sum"), 5),
    "poisson_nll_loss": loss(lambda a, b: F.poisson_nll_loss(a, b.exp()), 5),
    "poisson_nll_loss, full, of rates": loss(
        lambda a, b: F.poisson_nll_loss(a.exp(), 3 * b.exp(), log_input=False, full=True, reduction="none"), 5
    ),
    "gaussian_nll_loss": loss(lambda a, b, c: F.gaussian_nll_loss(a, b, c.exp()), 5, parts=3),
    "gaussian_nll_loss, of a variance for each image": loss(
        lambda a, b, c: F.gaussian_nll_loss(a, b, c[:, 0].exp(), eps=0.9, reduction="sum"), 5, parts=3
    ),
    "gaussian_nll_loss, full, of one variance": loss(lambda a, b: F.gaussian_nll_loss(a, b, 0.5, full=True), 5),
    "margin_ranking_loss": loss(lambda a, b: F.margin_ranking_loss(a, b, signs(a).unsqueeze(1), margin=0.2), 5),
    "margin_ranking_loss, each": loss(
        lambda a, b: F.margin_ranking_loss(a[:, 0], b[:, 0], signs(a), reduction="none"), 5
    ),
    "hinge_embedding_loss": loss(lambda a, b: F.hinge_embedding_loss(a, signs(a).unsqueeze(1).expand(-1, 5)), 5),
    "hinge_embedding_loss, each": loss(
        lambda a, b: F.hinge_embedding_loss(a, signs(a).unsqueeze(1), margin=0.3, reduction="none"), 5
    ),
    "soft_margin_loss": loss(lambda a, b: F.soft_margin_loss(a, signs(a).unsqueeze(1).expand(-1, 5).float()), 5),
    "soft_margin_loss, each": loss(lambda a, b: F.soft_margin_loss(a, b.sign().detach(), reduction="none"), 5),
    "cosine_embedding_loss": loss(lambda a, b: F.cosine_embedding_loss(a, b, signs(a), margin=0.1), 5),
    "cosine_embedding_loss, each": loss(lambda a, b: F.cosine_embedding_loss(a, b, signs(a), reduction="none"), 5),
    "multilabel_soft_margin_loss": loss(lambda a, b: F.multilabel_soft_margin_loss(a, b.sigmoid(), _weights(5)), 5),
    "multilabel_soft_margin_loss, each": loss(
        lambda a, b: F.multilabel_soft_margin_loss(a, b.sigmoid(), reduction="none"), 5
    ),
    "multi_margin_loss": loss(lambda a, b: F.multi_margin_loss(a, labels(a)), 4),
    "multi_margin_loss, squared, weighted": loss(
        lambda a, b: F.multi_margin_loss(a, labels(a), p=2, margin=0.7, weight=_weights(4), reduction="none"), 4
    ),
    "multilabel_margin_loss": loss(lambda a, b: F.multilabel_margin_loss(a, _several(a)), 4),
    "multilabel_margin_loss, each": loss(lambda a, b: F.multilabel_margin_loss(a, _several(a), reduction="none"), 4),
    "triplet_margin_loss": loss(lambda a, b, c: F.triplet_margin_loss(a, b, c), 5, parts=3),
    "triplet_margin_loss, swapped": loss(
        lambda a, b, c: F.triplet_margin_loss(a, b, c, margin=0.5, p=1, swap=True, reduction="none"), 5, parts=3
    ),
    "triplet_margin_with_distance_loss": loss(
        lambda a, b, c: F.triplet_margin_with_distance_loss(
            a, b, c, distance_function=lambda u, v: 1 - F.cosine_similarity(u, v), swap=True
        ),
        5,
        parts=3,
    ),
    "linear_cross_entropy": weighted(
        lambda x, w, b: x * F.linear_cross_entropy(x, w, labels(x), linear_bias=b), (6,), (4, 6), (4,)
    ),
    "ctc_loss": function(
        lambda x: (
            x.flatten(1)
            * F.ctc_loss(
                x.permute(1, 0, 2).log_softmax(2),
                torch.ones(x.shape[0], 2, dtype=torch.int64),
                torch.full((x.shape[0],), 5),
                torch.full((x.shape[0],), 2),
            )
        ),
        *(5, 4),
        refused="goes over alignments of lengths that only values tell: give each step a label and use F.cross_entropy",
    ),
}


def _several(x: Tensor) -> Tensor:
    """int64 N×4: two classes of each image, then −1, and what is behind it does not count."""
    first = labels(x)
    others = torch.tensor([-1, 2]).expand(x.shape[0], 2)
    return torch.cat([torch.stack([first, (first + 2) % 4], 1), others], 1)
