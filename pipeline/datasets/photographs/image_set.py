"""A listing of photographs → single BMP images, `<split>/<class>/<file>.bmp`, in parallel over the cores."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Description, Strip, write_description
from pipeline.datasets.photographs.listing import Listing
from pipeline.datasets.photographs.photograph import CROPPED, BrokenImageError, allow_large_images, load_photograph
from pipeline.errors import DatasetError, brief
from pipeline.progress import OnProgress

# Upper ends of the splits' shares: 60, 20 and 20 percent.
SPLITS = {"train": 0.6, "test": 0.8, "validation": 1.0}

MAX_BROKEN = 0.01

_CHUNK = 8


@dataclass(frozen=True)
class _Job:
    source: Path
    split: str
    label: int
    file: str


def convert_images(
    listing: Listing,
    name: str,
    seed: int,
    folder: Path,
    workers: int | None,
    on_progress: OnProgress,
    on_warning: Callable[[str], None],
) -> None:
    """Writes one BMP for each image, and dataset.json, into `folder`.

    Args:
      listing: the images and their classes.
      name: the dataset's name.
      seed: of the split.
      folder: an existing folder that takes the dataset.
      workers: processes; None: one for each core.
      on_progress: takes images done and images in all.
      on_warning: takes a line for each broken image that is left out.

    Raises:
      DatasetError: more than 1% of the images are broken, a split stays empty, or a worker died.
    """
    jobs = [_job(listing, index, seed) for index in range(len(listing.images))]
    for parent in {(folder / job.file).parent for job in jobs}:
        parent.mkdir(parents=True, exist_ok=True)
    reasons = _run(jobs, folder, workers or _cores(), on_progress)
    broken = [f"{job.source} {reason}" for job, reason in zip(jobs, reasons, strict=True) if reason]
    if len(broken) > MAX_BROKEN * len(jobs):
        raise DatasetError(
            f"{len(broken)} of {len(jobs)} images are broken, more than {MAX_BROKEN:.0%}: "
            f"{brief(broken, 50, '; ')}. Replace or remove them"
        )
    for line in broken:
        on_warning(f"left out: {line}")
    good = [job for job, reason in zip(jobs, reasons, strict=True) if not reason]
    write_description(folder, _describe(listing, name, good))


def split_of(key: str, seed: int) -> str:
    """The split of an image, from a seeded hash of its name alone: other images do not move it.

    Args:
      key: the image's name, class/file.
      seed: another seed is another split.
    """
    digest = hashlib.blake2b(f"{seed}/{key}".encode(errors="surrogateescape"), digest_size=8).digest()
    place = int.from_bytes(digest) / 2**64
    return next(split for split, end in SPLITS.items() if place < end or end == 1.0)


def _job(listing: Listing, index: int, seed: int) -> _Job:
    image = listing.images[index]
    split = split_of(listing.key(image), seed)
    # The old suffix stays: a.jpg and a.png may lie side by side.
    return _Job(image.path, split, image.label, f"{split}/{listing.key(image)}.bmp")


def _run(jobs: list[_Job], folder: Path, workers: int, on_progress: OnProgress) -> list[str]:
    """Converts every image; returns for each why it is broken, or nothing."""
    # A fork would copy the locks of this process's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    reasons: list[str] = []
    try:
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_start_worker) as pool:
            sources, targets = [job.source for job in jobs], [folder / job.file for job in jobs]
            for reason in pool.map(_convert_image, sources, targets, chunksize=_CHUNK):
                reasons.append(reason)
                on_progress(len(reasons), len(jobs))
    except BrokenProcessPool as error:
        near = jobs[min(len(reasons), len(jobs) - 1)].source
        raise DatasetError(
            f"a worker died at or after {near}, perhaps for lack of memory: try again with fewer workers"
        ) from error
    return reasons


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_large_images()


def _convert_image(source: Path, target: Path) -> str:
    try:
        pixels = load_photograph(source)
    except BrokenImageError as error:
        return str(error)
    write_bmp(target, pixels[None])
    return ""


def _describe(listing: Listing, name: str, jobs: list[_Job]) -> Description:
    splits = {split: tuple(Strip(job.file, job.label, 1) for job in jobs if job.split == split) for split in SPLITS}
    empty = [split for split, strips in splits.items() if not strips]
    if empty:
        raise DatasetError(f"of {len(jobs)} images none fell into {' and '.join(empty)}: add images")
    return Description(name, CROPPED, CROPPED, 3, listing.classes, splits)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
