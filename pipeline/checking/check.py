"""Last stage of a model: what was made of it → check.json, or an error that says where it is another network.

In a folder of its own, beside the model folder: that one travels to the device as it is, under a manifest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.sample import Target
from pipeline.checking.differences import Measured
from pipeline.checking.images import draw_batches, sizes_for
from pipeline.checking.learning import Learning
from pipeline.checking.observed import Batch
from pipeline.errors import ModelError
from pipeline.files import new_folder
from pipeline.recipe import Recipe
from pipeline.sources.model_source import ModelSource, build_module, own_loss_of

FILE_NAME = "check.json"


@dataclass(frozen=True)
class Made:
    """What the stages made of a model: the folders of export, artifacts and steps."""

    export: Path
    artifacts: Path
    model: Path


def check_model(
    source: ModelSource, recipe: Recipe, target: Target, seed: int, dataset: Path, made: Made, folder: Path
) -> None:
    """Compares with torch, or with the user's ONNX file, and writes what was found into `folder`.

    Raises:
      ModelError: what was made is another network than the one that was written.
    """
    sizes = sizes_for(recipe.batch_size, made.export)
    batches = draw_batches(dataset, sizes, made.export / "preprocess.onnx")
    against, measured = compare(source, recipe, target, seed, batches, made)
    record = {"against": against, "batches": sizes, "differences": measured.largest, "rounding": measured.rounding}
    with new_folder(folder) as temporary:
        (temporary / FILE_NAME).write_text(json.dumps(record, indent=1) + "\n")


def compare(
    source: ModelSource, recipe: Recipe, target: Target, seed: int, batches: Sequence[Batch], made: Made
) -> tuple[str, Measured]:
    """What it was compared with, and how far they are apart.

    Raises:
      ModelError: too far.
    """
    if source.onnx_file or (source.backbone and source.backbone.onnx_file):
        from pipeline.checking.file_check import check_file

        return "the ONNX file", check_file(source, recipe, batches, made.model)
    from pipeline.checking.torch_check import check_torch
    from pipeline.sources import python_file

    own = source.backbone or source
    # A forward pass may import what lies beside the file, too.
    with python_file.importing_beside(own.python_file):
        module = build_module(source, target.count, seed)
        learning = Learning(recipe, target, own_loss_of(source, recipe))
        return "torch", check_torch(module, learning, batches, made.export, made.artifacts, made.model)


def line_of(folder: Path) -> str:
    """What check.json says, in one line.

    Raises:
      ModelError: it is damaged.
    """
    path = folder / FILE_NAME
    try:
        record = json.loads(path.read_text())
        found = ", ".join(
            f"{kind} {value:.0e}".replace("e-0", "e-").replace("0e+00", "0")
            for kind, value in record["differences"].items()
        )
        return f"checked against {record['against']}: {found or 'nothing could be compared'}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error}): remove {folder}, so that it is made again") from error
