"""What `--engine reference` would train against what torch does: the forward graph of torch's older exporter says less.

Both are lowered, ours was compared with torch before, and so onnxruntime-training's own graphs are compared with ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.checking.check import Made
from pipeline.checking.differences import LIMITS, largest, relative
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Array, Batch, Evaluation
from pipeline.checking.sessions import open_session
from pipeline.errors import UsageError
from pipeline.lowering.model_folder import read_network, read_reference
from pipeline.lowering.network import Network
from pipeline.lowering.step import build_calm_gradient_step, build_eval_step
from pipeline.recipe import Recipe


def check_reference(recipe: Recipe, classes: int, batches: Sequence[Batch], made: Made) -> None:
    """Compares evaluation and the gradients of each batch.

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
    theirs = LoweredSide(made.model, build_calm_gradient_step(_in_order(reference, names)))
    expected = ours.evaluate(batches[0])
    found = _evaluated(_in_order(reference, names), classes, theirs, batches[0])
    _same("logits", "evaluation's logits", found.logits, expected.logits)
    for batch in batches:
        given, wanted = theirs.step(batch), ours.step(batch)
        _same("loss", "training's loss", given.loss, wanted.loss)
        _same_gradients(given.gradients, wanted.gradients)


def _in_order(network: Network, names: Sequence[str]) -> Network:
    """The network with its parameters in another order."""
    return replace(network, trainable={name: network.trainable[name] for name in names})


def _evaluated(network: Network, classes: int, side: LoweredSide, batch: Batch) -> Evaluation:
    session = open_session(build_eval_step(network, classes))
    loss, logits = session.run(["loss", "logits"], side.evaluation_feeds(batch))
    return Evaluation(logits, loss)


def _same(kind: str, what: str, found: Array, expected: Array) -> None:
    difference = relative(found, expected)
    if not difference <= LIMITS[kind]:
        _refuse(f"{what} differs by {difference:.1e}")


def _same_gradients(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    # What is rounding's alone beside the largest gradient tells nothing.
    rounding = 1e-5 * max(largest(value) for value in expected.values())
    for name, value in found.items():
        if float(np.abs(value - expected[name]).max(initial=0.0)) > rounding:
            _same("gradients", f"the gradient of {name}", value, expected[name])


def _refuse(reason: str) -> None:
    raise UsageError(
        f"--engine reference would train another network than torch, of which the older exporter leaves out what it "
        f"cannot say: {reason}; use --engine lowered"
    )
