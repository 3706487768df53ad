"""The files that host and device exchange."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import save

from device_runtime.formats import answers, dataset, manifest, model
from device_runtime.formats.answers import Answers
from device_runtime.formats.bmp import BmpFile, write_bmp
from device_runtime.formats.checkpoint import Checkpoint, Run, _content, read_checkpoint, write_checkpoint
from device_runtime.formats.dataset import Strip, pictures
from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import File, Manifest, Version
from device_runtime.formats.moment import PREFIX, Moment, read_moment
from device_runtime.formats.options import Options
from device_runtime.formats.paths import check_name, check_path
from device_runtime.formats.predictions import (
    Heading,
    Predictions,
    predictions_name,
    read_predictions,
    write_predictions,
)
from device_runtime.formats.round import ROUND_FILE, RoundResult, read_round
from device_runtime.plan import make_plan
from pipeline.datasets.photographs import preparation
from pipeline.datasets.photographs.account import FILE_NAME as ACCOUNT
from pipeline.datasets.photographs.photograph import PHOTOGRAPH
from pipeline.datasets.photographs.preparation import text_of
from pipeline.results.pages.report import write_report_page
from pipeline.results.records import about
from pipeline.results.records.about import describe, write_about
from pipeline.results.records.results import read_results as read_results_folder
from pipeline.results.trained import metadata_of, read_trained
from pipeline.running.display import facts
from tests.device_runtime.small_model import SIZE, TINY
from tests.fuzz.mutations import damaged, damaged_json
from tests.fuzz.readers import Reader
from tests.pipeline.inference.written import write_linear_model

IMAGES = np.arange(3 * 2 * 5 * 3, dtype=np.uint8).reshape(3, 2, 5, 3)
DESCRIPTION = pictures(
    "made",
    2,
    5,
    3,
    ("a", "b"),
    {"train": (Strip("a/x.bmp", 0, 3), Strip("b.bmp", 1, 3)), "test": (Strip("b.bmp", 1, 3),)},
)
PACKAGE = {"train.sh": b"run", "model/model.json": b"{}"}
MANIFEST = Manifest(
    "arm64",
    "lenet",
    tuple(File(name, len(text), hashlib.sha256(text).hexdigest(), False) for name, text in PACKAGE.items()),
    {"numpy": Version("1.0", "ab"), "libc6": Version("1:2-3", "")},
)
METRICS: list[dict[str, Any]] = [
    {
        "event": "start",
        "model": "tiny",
        "run": "0a1b",
        "package": "",
        "engine": "lowered",
        "file": "a",
        "time": 1,
        "first": 1,
        "last": 2,
        "target_accuracy": None,
    },
    {"event": "step", "step": 1, "loss": 0.5, "learning_rate": 0.1, "seconds": 0.01},
    {"event": "step", "step": 2, "loss": 0.25, "learning_rate": 0.1, "seconds": 0.01},
    {"event": "report", "step": 2, "accuracy": 0.5, "max_accuracy": 0.5},
    {"event": "device", "step": 2, "seconds": 1.5, "rss_bytes": 1000, "battery_percent": 50.0, "battery_celsius": 30.0},
    {"event": "checkpoint", "step": 2, "file": "tiny_trained_2.safetensors"},
    {"event": "evaluation", "step": 2, "split": "test", "accuracy": 0.5, "loss": 0.3},
    {"event": "best", "step": 2, "file": "tiny_trained_2.safetensors"},
    {"event": "resume", "step": 2, "file": "tiny_trained_2.safetensors"},
    {"event": "end", "step": 2, "peak_memory_bytes": 90_000_000, "seconds": 2.5},
]
ABOUT = {
    "classes": ["a", "b"],
    "data": ["found"],
    "table": [["class", "train"], ["a", "3"]],
    "check": "",
    "parameters": 51,
    "input": "4 × 4 × 1",
    "optimizer": "adam, beta1 0.9",
}
ROUND = RoundResult(90, 25, 0.5, 0.75, 0.4, 0.25, 1.1, 2.5)
TOLD = {"told": ["a line"], "left_out": {"a": 1}}


def written(images: Any) -> bytes:
    """The bytes of a BMP."""
    with tempfile.TemporaryDirectory() as folder:
        write_bmp(Path(folder, "a.bmp"), images)
        return Path(folder, "a.bmp").read_bytes()


COLOUR, GREY = written(IMAGES), written(IMAGES[..., :1])


def read_bmp(folder: Path, content: bytes) -> None:
    """Every row of a BMP."""
    (folder / "a.bmp").write_bytes(content)
    file = BmpFile(folder / "a.bmp")
    rows, width, channels = file.shape
    assert rows * width * channels <= len(content)
    assert file.read(0, rows).shape == file.shape


NOTHING = np.empty(0, np.float32)
PLAN = make_plan(Options(), TINY, Checkpoint(0, NOTHING, NOTHING, {}), 100).record()


def saved() -> bytes:
    """The bytes of a checkpoint after a step."""
    vector = np.linspace(-1, 1, SIZE, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        states = {"exp_avg": vector, "exp_avg_sq": vector}
        made = Checkpoint(3, vector, np.empty(0, np.float32), states, Run("0a1b", "", PLAN))
        write_checkpoint(Path(folder, "a.safetensors"), made, TINY)
        return Path(folder, "a.safetensors").read_bytes()


def half() -> bytes:
    """The bytes of what a round gives back in float16."""
    vector = np.linspace(-1, 1, SIZE, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "a"), Checkpoint(0, vector, NOTHING, {}), TINY, "float16")
        return Path(folder, "a").read_bytes()


SAVED, HALF = saved(), half()
HEADER_BYTES = struct.unpack("<Q", SAVED[:8])[0]
HEADER = json.loads(SAVED[8 : 8 + HEADER_BYTES])


METADATA = HEADER["__metadata__"] | {"plan": None}
SHAPES = {name: [entry["dtype"], entry["shape"]] for name, entry in HEADER.items() if name != "__metadata__"}
KINDS = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64, "U8": np.uint8}


def signed(case: tuple[str, str]) -> bytes:
    """A checkpoint of any metadata, plan and tensors whose digest is right: who made it can make that, too."""
    try:
        described = json.loads(case[0])
        metadata = {name: text for name, text in described["metadata"].items() if isinstance(text, str)}
        metadata["plan"] = case[1]
        tensors = {
            name: np.ones([size % 20 for size in shape], KINDS[kind])
            for name, (kind, shape) in described["tensors"].items()
        }
        read_as = {name: t.astype(np.float32) if t.dtype == np.float16 else t for name, t in tensors.items()}
        metadata["content"] = _content(metadata, read_as)
        return save(tensors, metadata)
    # What the library itself does not write is no checkpoint.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        return SAVED


def with_header(text: str) -> bytes:
    """A safetensors file with that header."""
    content = text.encode(errors="replace")
    return struct.pack("<Q", len(content)) + content + SAVED[8 + HEADER_BYTES :]


def read_saved(folder: Path, content: bytes) -> None:
    """A checkpoint."""
    (folder / "a.safetensors").write_bytes(content)
    found = read_checkpoint(folder / "a.safetensors", TINY)
    plan = make_plan(Options(), TINY, found, 100)
    assert plan.batch_size * plan.accumulate <= 100
    assert 0 < plan.threads <= 256
    for vector in (found.parameters, *found.states.values()):
        assert vector.shape == (SIZE,)
        assert vector.dtype == np.float32


def read_dataset(folder: Path, text: str) -> None:
    """A description, and the first image of each split."""
    (folder / "a").mkdir()
    for name in ("a/x.bmp", "b.bmp"):
        (folder / name).write_bytes(COLOUR)
    (folder / dataset.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    found = dataset.load_dataset(folder)
    for split in found.splits.values():
        if len(split):
            images, labels = split.batch(np.array([0, len(split) - 1]))
            assert images.nbytes <= 2 * len(COLOUR)
            assert 0 <= labels.min() <= labels.max() < len(found.classes)


def read_model(folder: Path, text: str) -> None:
    """A model's description."""
    (folder / model.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    found = model.read_model(folder)
    check_name(found.name)
    for tensors, size in ((found.parameters, found.parameters_size), (found.buffers, found.buffers_size)):
        taken = [range(tensor.offset, tensor.offset + tensor.size) for tensor in tensors]
        assert sum(map(len, taken)) == size
        assert all(one.stop <= other.start for one, other in pairwise(taken))


def read_manifest(folder: Path, text: str) -> None:
    """A manifest, and the sizes of what it names."""
    (folder / "model").mkdir()
    for name, content in PACKAGE.items():
        (folder / name).write_bytes(content)
    (folder / manifest.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    found = manifest.read_manifest(folder / manifest.FILE_NAME)
    for file in found.files:
        check_path(file.path)
        assert file.size_bytes >= 0
    manifest.check_files(folder, found)


def read_about(folder: Path, text: str) -> None:
    """What the host knew of a training, as the report tells it."""
    (folder / about.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    (folder / "metrics.jsonl").write_text(json.dumps(METRICS[0]) + "\n")
    write_report_page(folder / "report.html", read_results_folder(folder), [], None)


def read_results(folder: Path, case: tuple[list[str], bytes, str]) -> None:
    """Metrics and the account of a dataset, as the report takes them."""
    lines, half, account = case
    (folder / "dataset").mkdir()
    dataset.write_description(folder / "dataset", DESCRIPTION)
    (folder / "dataset" / ACCOUNT).write_bytes(account.encode(errors="surrogatepass"))
    text = "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")
    (folder / "metrics.jsonl").write_bytes(text + half)
    (folder / "model").mkdir()
    model.write_model(folder / "model", TINY)
    write_about(folder, describe(folder, folder))
    # Without its charts: they take more time than all else.
    write_report_page(folder / "report.html", read_results_folder(folder), [], None)
    assert (folder / "report.html").stat().st_size > 0


def predicted() -> bytes:
    """The bytes of a file of predictions."""
    labels = np.array([0, 1, 1, 0], np.int32)
    with tempfile.TemporaryDirectory() as folder:
        made = Predictions(labels, labels[::-1], np.linspace(0.5, 1, 4, dtype=np.float32))
        write_predictions(Path(folder), made, Heading("0a1b", 2, "test", 2, 4))
        return Path(folder, predictions_name(2)).read_bytes()


PREDICTED = predicted()


def read_predicted(folder: Path, content: bytes) -> None:
    """Predictions, and which of them are wrong."""
    (folder / "a.bin").write_bytes(content)
    heading, found = read_predictions(folder / "a.bin")
    assert len(found.labels) == len(found.guesses) == len(found.probabilities) == heading.images <= len(content)
    for indices in (found.labels, found.guesses):
        assert all(0 <= index < heading.classes for index in indices)
    assert all(found.labels[index] != found.guesses[index] for index in found.wrong())


def read_progress(folder: Path, text: str) -> None:
    """A line that says how far a training is, and what is shown of it."""
    assert all(facts(read_moment(f"{PREFIX}{text}")))


LINE = st.one_of(
    *[st.just(json.dumps(record)) for record in METRICS] * 3, *[damaged_json(record) for record in METRICS]
)

ANSWERS = Answers("1.2", "aarch64, 8 cores", 1, 3, 0.5, ((1, 0), (2,)), ((0.75, 0.25), (1.0,)))


def read_answered(folder: Path, text: str) -> None:
    """What a target answers about two images."""
    (folder / answers.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    found = answers.read_answers(folder, 2, 3)
    assert len(found.labels) == len(found.probabilities) == 2
    assert all(0 <= label < 3 for labels in found.labels for label in labels)
    assert (found.machine + found.onnxruntime).isprintable()


def trained() -> bytes:
    """The bytes of an inference model."""
    with tempfile.TemporaryDirectory() as folder:
        says = metadata_of(("a", "b"), PHOTOGRAPH, "softmax")
        write_linear_model(Path(folder, "a.onnx"), (2, 3, 1), says)
        return Path(folder, "a.onnx").read_bytes()


def read_model_file(folder: Path, content: bytes) -> None:
    """What an inference model says of itself."""
    (folder / "a_trained.onnx").write_bytes(content)
    found = read_trained(folder)
    assert len(found.classes) >= 2
    assert found.probability in answers.PROBABILITIES.values()


def read_prepared(folder: Path, text: str) -> None:
    """How pictures become pixels."""
    (folder / preparation.FILE_NAME).write_bytes(text.encode(errors="surrogatepass"))
    found = preparation.read_preparation(folder)
    height, width, channels = found.shape
    assert 0 < height * width * channels < 2**30


def read_finished(folder: Path, text: str) -> None:
    """What came of a round."""
    (folder / ROUND_FILE).write_bytes(text.encode(errors="surrogatepass"))
    found = read_round(folder)
    assert min(found.images, found.steps) > 0
    assert 0 <= found.accuracy <= 1


READERS = (
    Reader(
        "predictions",
        st.one_of(
            damaged(PREDICTED),
            damaged_json(json.loads(PREDICTED.splitlines()[0])).map(
                lambda text: text.encode(errors="replace") + b"\n" + PREDICTED.partition(b"\n")[2]
            ),
        ),
        read_predicted,
        (FormatError,),
    ),
    Reader("BMP", st.one_of(damaged(COLOUR), damaged(GREY)), read_bmp, (FormatError,)),
    Reader(
        "checkpoint",
        st.one_of(
            damaged(SAVED),
            damaged(HALF),
            damaged_json(HEADER).map(with_header),
            st.tuples(damaged_json({"metadata": METADATA, "tensors": SHAPES}), damaged_json(PLAN)).map(signed),
        ),
        read_saved,
        (FormatError,),
    ),
    Reader(
        "dataset.json",
        damaged_json({"format": dataset.FORMAT, **json.loads(json.dumps(asdict(DESCRIPTION)))}),
        read_dataset,
        (FormatError,),
    ),
    Reader(
        "model.json",
        damaged_json({"format": model.FORMAT, "digest": TINY.digest, **json.loads(json.dumps(asdict(TINY)))}),
        read_model,
        (FormatError,),
    ),
    Reader(
        "manifest.json",
        damaged_json({"format": manifest.FORMAT, **json.loads(json.dumps(asdict(MANIFEST)))}),
        read_manifest,
        (FormatError,),
    ),
    Reader("about.json", damaged_json(ABOUT), read_about, (FormatError,)),
    Reader(
        "metrics.jsonl",
        st.tuples(
            st.lists(LINE, max_size=6).map(lambda lines: [json.dumps(METRICS[0]), *lines]),
            st.sampled_from((b"", b'{"event": "st', b"\xff")),
            st.one_of(st.just(json.dumps(TOLD)), damaged_json(TOLD)),
        ),
        read_results,
        (FormatError,),
    ),
    Reader(
        "answers.json",
        damaged_json({"format": answers.FORMAT, **json.loads(json.dumps(asdict(ANSWERS)))}),
        read_answered,
        (FormatError,),
    ),
    Reader(ROUND_FILE, damaged_json(asdict(ROUND)), read_finished, (FormatError,)),
    Reader("trained.onnx", damaged(trained()), read_model_file, (FormatError,), 0.3),
    Reader("preparation.json", damaged_json(json.loads(text_of(PHOTOGRAPH))), read_prepared, (FormatError,)),
    Reader("progress", damaged_json(asdict(Moment(1, 2, 0.5, 0.5, 100.0, 2.0))), read_progress, (ValueError,)),
)
