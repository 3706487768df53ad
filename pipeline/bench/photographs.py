"""Times what photographs cost on this machine: their conversion, and training on the features of a frozen backbone."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from device_runtime.formats.dataset import read_description, write_description
from pipeline.bench.results import CacheResult, ConversionResult
from pipeline.bench.training import answers_of, train
from pipeline.datasets.layouts import find
from pipeline.datasets.photographs.image_set import convert_images
from pipeline.datasets.photographs.listing import Listing
from pipeline.errors import DatasetError, UsageError
from pipeline.files import explain_os_error
from pipeline.prepare import make_package, prepared_on
from pipeline.settings import Settings
from pipeline.sources.model_source import find_model
from pipeline.targets.local import LocalTarget

WORKERS = (1, 2)
EPOCHS = 10
UNCACHED_STEPS = 3
GENERATED_CLASSES, GENERATED_PER_CLASS = 10, 40
GENERATED_WIDTH, GENERATED_HEIGHT = 640, 480


def list_photographs(folder: Path) -> Listing:
    """The photographs of `--data`, as the convert stage finds them.

    Raises:
      UsageError: there are none.
    """
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder; give one with photographs, or none")
    try:
        listing = find(folder).listing
    except DatasetError as error:
        raise UsageError(f"--data {folder} holds no photographs to measure: {error}") from error
    if listing is None:
        raise UsageError(f"--data {folder} holds no photographs: give a folder with some, or none")
    return listing


def measure_photographs(data: Path | None, build: Path) -> tuple[ConversionResult, CacheResult]:
    """Both measurements; without `data`, on generated photographs."""
    with explain_os_error(build):
        build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench.", dir=build) as name:
        temporary = Path(name)
        listing = list_photographs(data or _generate(temporary / "photographs"))
        rates = {workers: _convert(listing, workers, temporary / f"converted-{workers}") for workers in WORKERS}
        source = str(data) if data else f"generated, {GENERATED_WIDTH}×{GENERATED_HEIGHT}"
        conversion = ConversionResult(source, len(listing.images), rates)
        return conversion, _measure_cache(temporary / f"converted-{WORKERS[-1]}", temporary, build)


def _generate(folder: Path) -> Path:
    """JPEGs of blurred colours: as large as photographs, and as slow to decode."""
    from PIL import Image

    random = np.random.default_rng(0)
    for label in range(GENERATED_CLASSES):
        (folder / str(label)).mkdir(parents=True)
        for number in range(GENERATED_PER_CLASS):
            small = Image.fromarray(random.integers(0, 256, (GENERATED_HEIGHT // 8, GENERATED_WIDTH // 8, 3), np.uint8))
            image = small.resize((GENERATED_WIDTH, GENERATED_HEIGHT), Image.Resampling.BICUBIC)
            image.save(folder / str(label) / f"{number}.jpg")
    return folder


def _convert(listing: Listing, workers: int, folder: Path) -> float:
    """Images per second, the start of the processes included."""
    folder.mkdir()
    started = time.perf_counter()
    converted = convert_images(listing, folder.name, 0, folder, workers, (255, 255, 255), lambda done, total: None)
    write_description(folder, converted.description)
    return len(listing.images) / (time.perf_counter() - started)


def _measure_cache(dataset: Path, temporary: Path, build: Path) -> CacheResult:
    """Packages `--model transfer` into `temporary`, whose cache is empty, and trains it."""
    settings = Settings("x86", "transfer", build)
    prepared = prepared_on(dataset, find_model("transfer"), settings)
    target = LocalTarget(make_package(prepared, settings, temporary))
    pass_s = answers_of(target, ["features"])[0]["ms"] / 1000
    # A learning rate of 0, so that no epoch reaches an accuracy at which it would stop.
    cached = train(target, ["--epochs", str(EPOCHS), "--learning-rate", "0"])
    # No evaluation in between: only the steps are looked at.
    uncached = train(target, ["-c", str(UNCACHED_STEPS), "--no-cache", "--evaluate-every", str(UNCACHED_STEPS + 1)])
    splits = read_description(dataset).splits
    images = {name: sum(strip.count for strip in strips) for name, strips in splits.items()}
    batches_an_epoch = (images["train"] + images["test"]) / prepared.recipe.batch_size
    return CacheResult(
        images=sum(images.values()),
        pass_s=pass_s,
        epochs=EPOCHS,
        epochs_s=cached.seconds,
        uncached_epoch_s=statistics.median(uncached.step_s) * batches_an_epoch,
        uncached_steps=UNCACHED_STEPS,
    )
