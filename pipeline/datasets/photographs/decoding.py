"""Image files → BMP files of one image each, in parallel over the cores, or looked at alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.bmp import write_bmp
from pipeline.commands import end_with_parent
from pipeline.datasets.photographs.photograph import (
    BrokenImageError,
    MissingDecoderError,
    allow_large_images,
    read_photograph,
)
from pipeline.datasets.photographs.preparation import Preparation
from pipeline.errors import DatasetError, in_line
from pipeline.files import sha256_of
from pipeline.progress import OnProgress

_CHUNK = 8


@dataclass(frozen=True)
class Job:
    """What to do with a file.

    Attributes:
      source: the image.
      target: the BMP to write; None: it is only looked at.
      preparation: what becomes of it.
      compared: whether a digest of the file is asked for.
    """

    source: Path
    target: Path | None
    preparation: Preparation
    compared: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a file was.

    Attributes:
      problem: why it is no image, or nothing.
      damaged: of a problem, whether the file is at fault, and not what is installed here.
      width: in pixels, as stored.
      height: likewise.
      transparent: whether the background shone through.
      peak: the largest number of grey of 16 bits, else None.
      digest: SHA-256 of the file, where it was asked for.
    """

    problem: str = ""
    damaged: bool = False
    width: int = 0
    height: int = 0
    transparent: bool = False
    peak: int | None = None
    digest: str = ""


def decode(jobs: Sequence[Job], workers: int | None, on_progress: OnProgress) -> list[Outcome]:
    """Does all jobs; workers: processes, None: one for each core.

    Raises:
      DatasetError: a process died.
    """
    # A fork would copy the locks of this process's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    outcomes: list[Outcome] = []
    if not jobs:
        return outcomes
    try:
        size = min(workers or _cores(), len(jobs))
        with ProcessPoolExecutor(size, mp_context=context, initializer=_start_worker) as pool:
            for outcome in pool.map(_do, jobs, chunksize=_CHUNK):
                outcomes.append(outcome)
                on_progress(len(outcomes), len(jobs))
    except BrokenProcessPool as error:
        near = in_line(str(jobs[min(len(outcomes), len(jobs) - 1)].source))
        raise DatasetError(
            f"a worker died at or after {near}, perhaps for lack of memory: try again with fewer workers"
        ) from error
    return outcomes


def _start_worker() -> None:
    end_with_parent()
    # Ctrl-C reaches the whole group: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_large_images()


def _do(job: Job) -> Outcome:
    try:
        photograph = read_photograph(job.source, job.preparation)
    except BrokenImageError as error:
        return Outcome(in_line(str(error)), not isinstance(error, MissingDecoderError))
    if job.target:
        write_bmp(job.target, photograph.pixels[None])
    digest = sha256_of(job.source) if job.compared else ""
    return Outcome("", False, photograph.width, photograph.height, photograph.transparent, photograph.peak, digest)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
