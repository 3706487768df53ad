"""The evaluation of an ONNX model against the runtime on the user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import by_name, read_model
from pipeline.checking.differences import Measured, relative
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Array, Batch, observe
from pipeline.errors import ModelError
from pipeline.graphs.inference_mode import trains
from pipeline.graphs.names import LOGITS
from pipeline.graphs.reading import opset_of
from pipeline.graphs.sessions import open_session
from pipeline.recipe import Recipe
from pipeline.sources.model_source import ModelSource
from pipeline.sources.onnx_files.newest import KNOWN
from pipeline.sources.onnx_files.reading import read
from pipeline.sources.onnx_files.refusals import refusing

LIMIT = 1e-4
# What rounding every frozen weight to half precision may cost.
LIMIT_OF_HALF = 2e-2


def check_file(source: ModelSource, recipe: Recipe, batches: Sequence[Batch], folder: Path) -> Measured:
    """Compares the first batch's logits and trains on each; nothing is measured where the runtime cannot run the file.

    Raises:
      ModelError: they differ, or the train step fails.
    """
    path = source.onnx_file or (source.backbone.onnx_file if source.backbone else None)
    side = LoweredSide(folder, folder / "gradient_step.onnx")
    with refusing(f"{path} cannot be trained"):
        ours = observe(side, batches).evaluation
    expected = _run(path, batches[0].image) if path else None
    if expected is None:
        return Measured()
    if source.backbone:
        expected = _with_head(expected, folder)
    difference = relative(ours.logits, expected)
    if not difference <= (LIMIT_OF_HALF if recipe.frozen_dtype == "float16" else LIMIT):
        raise ModelError(
            f"the lowered network is not that of {path}: evaluation's logits differ by {difference:.1e} of the "
            "largest; export it in another way, or train it all the same with --no-check"
        )
    return Measured({"logits": difference})


def _run(path: Path, image: Array) -> Array | None:
    """The file's logits; None where the runtime does not know the file's opset or an operator, or gives another."""
    # In training mode ONNX Runtime 1.19.2 ends the process where nobody takes the statistics.
    stored = onnx.load(path, load_external_data=False)
    if any(trains(node) for node in stored.graph.node):
        return None
    # ONNX Runtime's exceptions have no base class of their own.
    try:
        # No ONNX Runtime of the host's is so new.
        session = open_session(path if opset_of(stored) <= KNOWN else read(path))
        given = session.get_inputs()[0]
        single = given.shape[0] == 1
        parts = [image[n : n + 1] for n in range(len(image))] if single else [image]
        names = [output.name for output in session.get_outputs()]
        # Of several that one trains, as the file was read.
        chosen = [LOGITS if LOGITS in names else names[0]]
        output: Array = np.concatenate([session.run(chosen, {given.name: part})[0] for part in parts])
    except Exception:
        return None
    return output


def _with_head(features: Array, folder: Path) -> Array:
    """Logits of the new head, a dense layer, on a backbone's features."""
    model = read_model(folder)
    start = by_name(read_checkpoint(folder / untrained_name(model), model).parameters, model.parameters)
    logits: Array = features @ start["head.weight"].T + start["head.bias"]
    return logits
