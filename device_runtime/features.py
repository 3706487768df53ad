"""Features of a frozen backbone: computed for each batch, or once for each image and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device_runtime.engines.sessions import open_session, session_options
from device_runtime.evaluation import Images
from device_runtime.formats.whole_file import remove_leftovers, whole_file

BATCH = 32

# Images whose features are written at once: what a killed run loses at most.
CHUNK = 4 * BATCH

Row = npt.NDArray[np.float32]


class Network(Protocol):
    """A frozen backbone; `digest` names its weights and its preprocessing."""

    digest: str

    def features(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Features, float32 N×…, of a batch, of pictures uint8 N×H×W×C."""
        ...


class Backbone:
    """features.onnx: samples, of pictures uint8 N×H×W×C, to features, float32 N×…."""

    def __init__(self, file: Path, threads: int) -> None:
        self._session = open_session(file, session_options(threads))
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def features(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Features of a batch."""
        return np.asarray(self._session.run(["features"], {"image": pixels})[0], np.float32)


class LiveFeatures:
    """A split whose images pass the backbone each time they are asked for."""

    def __init__(self, images: Images, backbone: Network) -> None:
        self._images = images
        self._backbone = backbone
        self.labels = images.labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Features and labels of these images."""
        pixels, labels = self._images.batch(indices)
        return self._backbone.features(pixels), labels


class FeatureCache:
    """Features on disk, under the digest of the backbone and that of each image's pixels.

    `<folder>/<backbone>/<digest of the content>.rows` holds one record for each of some images: SHA-256 of the pixels,
    then the features. Files are added whole and never changed, so a run may be killed at any time and several may run
    at once; a file whose content is not what its name says is removed, and its images pass the backbone again.
    """

    def __init__(self, backbone: Network, shape: tuple[int, ...], folder: Path) -> None:
        self._backbone = backbone
        self._folder = folder / backbone.digest[:24]
        self._record = np.dtype([("image", "V32"), ("features", "<f4", shape)])
        self._rows: dict[bytes, Row] = {}
        remove_leftovers(self._folder)
        for file in sorted(self._folder.glob("*.rows")):
            if _is_whole(file):
                self._open(file)
            else:
                file.unlink(missing_ok=True)

    def rows(self, images: Images) -> list[Row]:
        """The features of every image; those that are not on disk are computed and added."""
        digests = [hashlib.sha256(images.batch(np.array([index]))[0].data).digest() for index in range(len(images))]
        missing = [index for index, digest in enumerate(digests) if digest not in self._rows]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            self._add([digests[index] for index in chunk], self._computed(images, chunk))
        return [self._rows[digest] for digest in digests]

    def _computed(self, images: Images, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        batches = [np.array(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]
        return np.concatenate([self._backbone.features(images.batch(batch)[0]) for batch in batches])

    def _add(self, digests: Sequence[bytes], features: npt.NDArray[np.float32]) -> None:
        records = np.empty(len(digests), self._record)
        records["image"] = np.array(digests, "V32")
        records["features"] = features
        content = records.tobytes()
        file = self._folder / f"{hashlib.sha256(content).hexdigest()}.rows"
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            temporary.write_bytes(content)
        self._open(file)

    def _open(self, file: Path) -> None:
        records = np.memmap(file, self._record, "r")
        # Plain arrays on the same memory: a row of a memmap costs ten times as much.
        images, features = np.asarray(records["image"]), np.asarray(records["features"])
        self._rows.update(zip((image.tobytes() for image in images), features, strict=True))


class CachedFeatures:
    """A split whose features are on disk; images that are new to the cache pass the backbone when it is opened."""

    def __init__(self, images: Images, cache: FeatureCache) -> None:
        self.labels = images.labels
        self._rows = cache.rows(images)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Features and labels of these images."""
        return np.stack([self._rows[index] for index in indices.tolist()]), self.labels[indices]


def _is_whole(file: Path) -> bool:
    """Whether a file's content is what its name says; another run may have removed it already."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.stem
    except FileNotFoundError:
        return False
