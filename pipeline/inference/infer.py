"""`invoke infer`: the class of each picture, as a finished run sees it, and how long one takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.answers import Answers
from pipeline.datasets.photographs.walk import walk
from pipeline.errors import PictureError, UsageError, brief, in_line, readable
from pipeline.inference.asking import ask
from pipeline.inference.images import decoded, strips_of
from pipeline.progress import note
from pipeline.results.trained import TrainedModel, named_run, read_trained
from pipeline.settings import Settings
from pipeline.tables.columns import columns


@dataclass(frozen=True)
class Pictures:
    """What was named.

    Attributes:
      files: to be read; those in folders have an image's suffix.
      named: of these, whether one was named itself, and not found in a folder.
      skipped: how many other things lie in the folders.
    """

    files: tuple[Path, ...]
    named: tuple[bool, ...]
    skipped: int


@dataclass(frozen=True)
class Answered:
    """The pictures that were read, what the model says of them, and why others were not."""

    files: tuple[Path, ...]
    answers: Answers | None
    problems: tuple[tuple[Path, str], ...]


def infer(settings: Settings) -> None:
    """Prints what the trained model of a run says of the pictures that the settings name.

    Raises:
      UsageError: nothing is named, or there is no such run.
      PictureError: a picture that was named, or all in a folder, cannot be read; of the others was told before.
    """
    model = read_trained(named_run(settings.run, settings.runs))
    pictures = find_pictures(settings.paths)
    answered = _ask(settings, model, pictures)
    for file, problem in answered.problems:
        note(f"warning: {in_line(str(file))} {problem}")
    if pictures.skipped and not settings.json:
        note(f"files in the folders that are no images, skipped: {pictures.skipped}")
    if settings.json:
        print(_as_json(model, answered, pictures.skipped, settings))
    elif answered.answers:
        print("\n".join(_as_table(model, answered.files, answered.answers, settings)))
    _refuse_unread(pictures, answered)


def find_pictures(paths: Sequence[Path]) -> Pictures:
    """The pictures at some paths, in their order; folders are searched with all within them.

    Raises:
      UsageError: none is given, or there is none.
    """
    if not paths:
        raise UsageError("name pictures or folders of them: `invoke infer photo.jpg folder/`")
    files, named, skipped = list[Path](), list[bool](), 0
    for path in paths:
        if not path.is_dir():
            files.append(path)
            named.append(True)
            continue
        found = walk(path)
        files += found.images
        named += [False] * len(found.images)
        skipped += len(found.others)
    if not files:
        raise UsageError(f"{', '.join(map(str, paths))}: no picture lies there")
    return Pictures(tuple(files), tuple(named), skipped)


def _ask(settings: Settings, model: TrainedModel, pictures: Pictures) -> Answered:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        outcomes = decoded(pictures.files, model.preparation, folder)
        good = [index for index, outcome in enumerate(outcomes) if not outcome.problem]
        strips = strips_of(folder, good, [0] * len(good))
        answers = ask(settings, model, folder, strips, top=settings.top, timed=True) if strips else None
    problems = [(file, o.problem) for file, o in zip(pictures.files, outcomes, strict=True) if o.problem]
    return Answered(tuple(pictures.files[index] for index in good), answers, tuple(problems))


def _refuse_unread(pictures: Pictures, answered: Answered) -> None:
    unread = [file for file, _ in answered.problems]
    named = {file for file, named in zip(pictures.files, pictures.named, strict=True) if named}
    failed = [file for file in unread if file in named] or ([] if answered.files else unread)
    if failed:
        names = brief([str(file) for file in failed], 5)
        raise PictureError(f"{len(failed)} of {len(pictures.files)} pictures cannot be read: {names}")


def _as_table(model: TrainedModel, files: Sequence[Path], answers: Answers, settings: Settings) -> list[str]:
    rows = [["file", "class", "probability"]]
    for file, labels, probabilities in zip(files, answers.labels, answers.probabilities, strict=True):
        # Of further classes the file is not said again.
        names = [in_line(str(file)), *[""] * (len(labels) - 1)]
        rows += [
            [name, in_line(model.classes[label]), f"{probability:.4f}"]
            for name, label, probability in zip(names, labels, probabilities, strict=True)
        ]
    return [*columns(rows, numbers=(2,)), _latency_line(answers, settings)]


def _latency_line(answers: Answers, settings: Settings) -> str:
    threads = f"{answers.threads} thread{'s' if answers.threads > 1 else ''}"
    return (
        f"latency {answers.median_ms:.3g} ms: median of {answers.runs} runs at batch 1, {threads}, "
        f"onnxruntime {answers.onnxruntime} on {settings.kind.name} ({answers.machine})"
    )


def _as_json(model: TrainedModel, answered: Answered, skipped: int, settings: Settings) -> str:
    """One object; files are named as they were typed, or found in a folder that was."""
    answers = answered.answers
    rows = zip(answered.files, answers.labels, answers.probabilities, strict=True) if answers else ()
    images = [
        {
            "file": readable(str(file)),
            "class": model.classes[labels[0]],
            "probability": probabilities[0],
            "top": [
                {"class": model.classes[label], "probability": probability}
                for label, probability in zip(labels, probabilities, strict=True)
            ],
        }
        for file, labels, probabilities in rows
    ]
    latency = answers and {
        "median_ms": answers.median_ms,
        "batch": 1,
        "runs": answers.runs,
        "threads": answers.threads,
        "onnxruntime": answers.onnxruntime,
        "target": settings.kind.name,
        "machine": answers.machine,
    }
    unread = [{"file": readable(str(file)), "problem": problem} for file, problem in answered.problems]
    said = {"model": readable(str(model.file)), "images": images, "unread": unread, "skipped": skipped}
    return json.dumps(said | {"latency": latency}, indent=1)
