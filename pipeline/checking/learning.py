"""By what a model learns: what both sides of a comparison are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from device_runtime.formats.sample import Target
from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Learning:
    """What a model is trained by.

    Attributes:
      recipe: how.
      target: what its outputs are compared with.
      own_loss: the model's own loss of its output and the targets, or None.
    """

    recipe: Recipe
    target: Target
    own_loss: Callable[[Any, Any], Any] | None = None
