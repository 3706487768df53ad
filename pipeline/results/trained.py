"""The trained inference model of a results folder: what it says of itself to whoever runs it.

Its metadata has `classes`, names in the order of the logits as a list in JSON, since a name may hold any character;
`preprocessing`, how a picture becomes its pixels, as JSON (pipeline/datasets/photographs/preparation.py); and
`probability`, what makes probabilities of the logits: softmax, sigmoid, or clip (to 0 and 1). One that takes arrays has
no `preprocessing`, one that gives values no `probability`; one of a table has `columns`, how a row becomes its
numbers, as JSON (pipeline/datasets/columns/encoding.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.answers import PROBABILITIES
from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed
from pipeline.datasets.columns.encoding import Encoding
from pipeline.datasets.columns.encoding import text_of as encoding_text
from pipeline.datasets.photographs.preparation import Preparation, parse_preparation, text_of
from pipeline.errors import UsageError
from pipeline.results.records.results import results_folder_of

# The file's name behind the model's.
TRAINED = "_trained.onnx"

CLASSES, PREPROCESSING, PROBABILITY, COLUMNS = "classes", "preprocessing", "probability", "columns"


@dataclass(frozen=True)
class TrainedModel:
    """An inference model and what it says of itself.

    Attributes:
      file: the model.
      classes: names in the order of the logits.
      preparation: how a picture becomes what it takes.
      probability: what makes probabilities of the logits.
    """

    file: Path
    classes: tuple[str, ...]
    preparation: Preparation
    probability: str


def metadata_of(
    classes: Sequence[str],
    preparation: Preparation | None,
    probability: str | None,
    columns: Encoding | None = None,
) -> dict[str, str]:
    """What an inference model says of itself.

    Args:
      classes: their names in the order of the logits.
      preparation: how a picture becomes what it takes; None: it takes arrays as they are.
      probability: what makes probabilities of the logits; None: what it gives are values.
      columns: how a row of a table becomes what it takes, or None.
    """
    prepared = {PREPROCESSING: text_of(preparation)} if preparation else {}
    encoded = {COLUMNS: encoding_text(columns)} if columns else {}
    made = {PROBABILITY: probability} if probability else {}
    return {CLASSES: json.dumps(list(classes)), **prepared, **encoded, **made}


def named_run(name: str | None, runs: Path) -> Path:
    """The results folder of that name, or at that path; None: the newest one with a trained model.

    Raises:
      UsageError: there is none.
    """
    if name is None:
        newest = max(runs.glob(f"[!.]*/*{TRAINED}"), key=lambda file: file.parent.name, default=None)
        if newest is None:
            raise UsageError(f"{runs} holds no trained model: run `invoke run` first, or name a results folder: --run")
        return newest.parent
    # A fleet's folder has a model and no record of one training.
    places = (Path(name), runs / name)
    trained = next((folder for folder in places if any(folder.glob(f"[!.]*{TRAINED}"))), None)
    return trained or results_folder_of(runs, Path(name))


def read_trained(folder: Path) -> TrainedModel:
    """The trained model of a results folder.

    Raises:
      FormatError: there is none, or several, or it is damaged or does not say how it is fed.
    """
    files = sorted(folder.glob(f"[!.]*{TRAINED}"))
    if not files:
        raise FormatError(
            f"{folder} holds no model named *{TRAINED}: its training ended before a checkpoint was saved, or it is no "
            "results folder; `invoke runs` lists those that there are"
        )
    if len(files) > 1:
        raise FormatError(f"{folder} holds several models named *{TRAINED}: leave the one that is meant")
    return read_model_file(files[0])


def read_model_file(file: Path) -> TrainedModel:
    """Reads what an inference model says of itself.

    Raises:
      FormatError: it is damaged or does not say how it is fed.
    """
    said = _metadata(file)
    if CLASSES in said and PREPROCESSING not in said:
        raise FormatError(
            f"{file} takes arrays, no pictures: run it with ONNX Runtime, its input is called `input`; a table of how "
            "well it does is in the report of its run"
        )
    missing = [key for key in (CLASSES, PREPROCESSING, PROBABILITY) if key not in said]
    if missing:
        raise FormatError(
            f"{file} does not say {' and '.join(missing)} in its metadata: it was not written by this version; "
            "train again, or `invoke pull` what is still on the target"
        )
    try:
        classes = typed(tuple[str, ...], parse_object(f'{{"classes": {said[CLASSES]}}}')["classes"], CLASSES)
        preparation = parse_preparation(said[PREPROCESSING])
        if len(classes) < 2 or said[PROBABILITY] not in PROBABILITIES.values():
            raise ValueError(f"{len(classes)} classes, probability {said[PROBABILITY]!r}")
    except (ValueError, KeyError) as error:
        raise FormatError(f"{file}: its metadata is damaged ({error}): pull it again, or train again") from error
    return TrainedModel(file, classes, preparation, said[PROBABILITY])


def _metadata(file: Path) -> Mapping[str, str]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(file, load_external_data=False)
    except OSError as error:
        raise FormatError(f"{file}: {error.strerror}") from error
    except (DecodeError, ValueError) as error:
        raise FormatError(f"{file} is no ONNX file ({error}): pull it again, or train again") from error
    return {entry.key: entry.value for entry in model.metadata_props}
