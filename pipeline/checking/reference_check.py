"""What `--engine reference` would train against what torch does: the forward graph of torch's older exporter says less.

Both are lowered, ours was compared with torch before, and so onnxruntime-training's own graphs are compared with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from pipeline.checking.check import Made
from pipeline.checking.comparison import Comparison, Unequal
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Batch, observe
from pipeline.errors import UsageError
from pipeline.lowering.model_folder import read_network, read_reference
from pipeline.lowering.step import build_calm_gradient_step, build_eval_step
from pipeline.recipe import Recipe


def check_reference(recipe: Recipe, classes: int, batches: Sequence[Batch], made: Made) -> None:
    """Compares evaluation and each batch's step.

    Raises:
      UsageError: the reference engine would train another network.
    """
    reference = read_reference(recipe, made.export, made.artifacts)
    ours = LoweredSide(made.model, build_calm_gradient_step(read_network(recipe, made.export, made.artifacts)))
    names = [tensor.name for tensor in ours.model.parameters]
    if set(names) != set(reference.trainable):
        _refuse(f"{', '.join(sorted(set(names) ^ set(reference.trainable)))} would train in one of them alone")
    if ours.model.buffers:
        _refuse("it carries no buffers that forward renews")
    reference = replace(reference, trainable={name: reference.trainable[name] for name in names})
    theirs = LoweredSide(made.model, build_calm_gradient_step(reference), build_eval_step(reference, [classes]))
    expected = observe(ours, batches)
    try:
        Comparison(observe(theirs, batches), expected, lambda: expected, names, ()).run()
    except Unequal as difference:
        _refuse(str(difference))


def _refuse(reason: str) -> NoReturn:
    raise UsageError(
        f"--engine reference would train another network than torch, of which the older exporter leaves out what it "
        f"cannot say: {reason}; use --engine lowered"
    )
