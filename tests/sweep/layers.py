"""The layers of torch.nn, by their names there."""

from __future__ import annotations

from collections.abc import Mapping

from tests.sweep import layers_of_elements, layers_of_images, layers_of_tokens
from tests.sweep.case import Case, factory_of

KINDS: Mapping[str, Mapping[str, Case]] = {
    "convolutions": layers_of_images.CONVOLUTIONS,
    "pooling": layers_of_images.POOLING,
    "padding": layers_of_images.PADDING,
    "resizing": layers_of_images.RESIZING,
    "activations": layers_of_elements.ACTIVATIONS,
    "normalisation": layers_of_elements.NORMALISATION,
    "dropout": layers_of_elements.DROPOUT,
    "dense layers, shapes and distances": layers_of_tokens.DENSE,
    "embeddings": layers_of_tokens.EMBEDDINGS,
    "attention": layers_of_tokens.ATTENTION,
    "recurrent layers": layers_of_tokens.RECURRENT,
    "containers": layers_of_tokens.CONTAINERS,
}
LAYERS: dict[str, Case] = {name: case for cases in KINDS.values() for name, case in cases.items()}

_LOSS = "a loss: the recipe has it"
_BASE = "the base of others"

# Not tried here, and why.
ELSEWHERE: dict[str, str] = {
    "Module": _BASE,
    "Container": _BASE,
    "RNNBase": _BASE,
    "RNNCellBase": _BASE,
    **dict.fromkeys(
        (
            *("AdaptiveLogSoftmaxWithLoss", "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss"),
            *("CrossEntropyLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss"),
            *("LinearCrossEntropyLoss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss"),
            *("MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d", "PoissonNLLLoss"),
            *("SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"),
        ),
        _LOSS,
    ),
}

__getattr__ = factory_of(LAYERS)
