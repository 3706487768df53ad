"""What the graphs are fed: images, or features where a frozen backbone stands apart; training changes some."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from device_runtime.augmentation import Augmented
from device_runtime.augmented_sound import NO_NOISE, AugmentedSound
from device_runtime.evaluation import Images, ImagesOfEpoch
from device_runtime.formats.dataset import Dataset
from device_runtime.formats.manifest import CACHE
from device_runtime.formats.model import Model
from device_runtime.formats.option_values import OF_PICTURES, OF_SOUND
from device_runtime.plan import Plan


@dataclass(frozen=True)
class Inputs:
    """What training and evaluation take.

    Attributes:
      splits: each split as it is.
      train: the training split as it is trained on in an epoch.
      final: the split of the last evaluation: validation, or test where the dataset has no such split.
    """

    splits: Mapping[str, Images]
    train: ImagesOfEpoch
    final: str


def open_inputs(
    plan: Plan, folder: Path, model: Model, dataset: Dataset, package: Path, training: bool, on_test: bool = False
) -> Inputs:
    """Opens what a run needs; images whose features are kept and not yet known pass the backbone now.

    Args:
      plan: whether features are kept, and what happens to training images.
      folder: the model folder.
      model: what the graphs take.
      dataset: the images.
      package: its `cache/` takes the features.
      training: False where only the final split is evaluated.
      on_test: the final split is test, whatever there is to validate with.
    """
    final = "validation" if len(dataset.splits.get("validation", ())) and not on_test else "test"
    splits: dict[str, Images] = dict(dataset.splits)
    through: Callable[[Images], Images] = _as_they_are
    if model.features is not None:
        # Imported here, as it opens ONNX Runtime, which a wrong option should not have to wait for.
        from device_runtime.features import Backbone, CachedFeatures, FeatureCache, LiveFeatures

        backbone = Backbone(folder / "features.onnx", plan.threads)
        through = partial(LiveFeatures, backbone=backbone)
        splits = {name: through(split) for name, split in dataset.splits.items()}
        if not plan.no_cache:
            cache = FeatureCache(backbone, model.features, package / CACHE)
            names = _used_again(final, training, augmented=bool(plan.augment))
            splits |= {name: CachedFeatures(dataset.splits[name], cache) for name in names}

    def train(epoch: int) -> Images:
        if not plan.augment:
            return splits["train"]
        return through(_augmented(dataset, plan, epoch))

    return Inputs(splits, train, final)


def unfit_changes(kinds: Collection[str], dataset: Dataset) -> list[str]:
    """What `--augment` cannot do to a dataset."""
    sample = dataset.description.sample
    known = OF_PICTURES if sample.is_picture else OF_SOUND if sample.is_sound else ()
    wrong = [kind for kind in kinds if kind not in known]
    if wrong:
        changes = f"which {' and '.join(known)} change" if known else "which stay as they are"
        return [f"--augment {','.join(wrong)} is not for samples of {sample.text}, {changes}"]
    return [NO_NOISE] if "noise" in kinds and dataset.noise is None else []


def _used_again(final: str, training: bool, *, augmented: bool) -> set[str]:
    """The splits whose images a run meets as they are, and may meet again."""
    if not training:
        return {final}
    return {"test", final} if augmented else {"train", "test", final}


def _augmented(dataset: Dataset, plan: Plan, epoch: int) -> Images:
    images = dataset.splits["train"]
    if dataset.description.sample.is_sound:
        return AugmentedSound(images, plan.augment, plan.seed, epoch, dataset.noise)
    return Augmented(images, plan.augment, plan.seed, epoch)


def _as_they_are(images: Images) -> Images:
    return images
