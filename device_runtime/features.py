"""Features of a frozen backbone: computed for each batch, or once for each image and kept on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.engines.lowered import open_session, session_options
from device_runtime.evaluation import Images

BATCH = 32


class Backbone:
    """features.onnx: pixels, uint8 N×H×W×C, to features, float32 N×…."""

    def __init__(self, file: Path, threads: int) -> None:
        self._session = open_session(file, session_options(threads))
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def features(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features of a batch."""
        return np.asarray(self._session.run(["features"], {"image": pixels})[0], np.float32)


class LiveFeatures:
    """A split whose images pass the backbone each time they are asked for."""

    def __init__(self, images: Images, backbone: Backbone) -> None:
        self._images = images
        self._backbone = backbone
        self.labels = images.labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Features and labels of these images."""
        pixels, labels = self._images.batch(indices)
        return self._backbone.features(pixels), labels


class CachedFeatures:
    """A split whose features are on disk; each image passes the backbone once, when the cache is opened."""

    def __init__(self, images: Images, backbone: Backbone, shape: tuple[int, ...], folder: Path) -> None:
        self.labels = images.labels
        digests = _digests(images)
        key = hashlib.sha256("".join([backbone.digest, *digests]).encode()).hexdigest()[:24]
        file = folder / f"{key}.npy"
        if not file.exists():
            _fill(file, images, backbone, shape)
        self._features: npt.NDArray[np.float32] = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Features and labels of these images."""
        return np.ascontiguousarray(self._features[indices]), self.labels[indices]


def _digests(images: Images) -> list[str]:
    """SHA-256 of every image's pixels."""
    return [hashlib.sha256(images.batch(np.array([index]))[0].tobytes()).hexdigest() for index in range(len(images))]


def _fill(file: Path, images: Images, backbone: Backbone, shape: tuple[int, ...]) -> None:
    """Computes all features into a temporary file that takes its name when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as opened:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(images), *shape)}
            np.lib.format.write_array_header_1_0(opened, header)
            for start in range(0, len(images), BATCH):
                pixels, _ = images.batch(np.arange(start, min(start + BATCH, len(images))))
                opened.write(backbone.features(pixels).tobytes())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
