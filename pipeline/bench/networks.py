"""The networks that are measured, and how each is trained where the user does not say otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from device_runtime.formats.sample import Sample, picture
from pipeline.bench.own import CLASSES, images_and_classes, sized
from pipeline.errors import UsageError
from pipeline.optimizers import Optimizer
from pipeline.prepare import chosen
from pipeline.recipe import Recipe
from pipeline.settings import Settings
from pipeline.sources.model_source import find_model, recipe_of

MODELS = Path(__file__).parent / "models"

ALL = "all"
# Of networks that take images of any size and say none.
SIZE, BATCH = 96, 16

OPEN_RIVALS = ("onnxruntime-training", "torch-eager")
# It compiles a large network for minutes.
RIVALS = (*OPEN_RIVALS, "torch-compile")
ALL_RIVALS = (*RIVALS, "executorch", "jax")


@dataclass(frozen=True)
class Network:
    """A network that is measured.

    Attributes:
      title: what the table says.
      model: as `--model` takes it.
      pixels: of the random samples that it trains on, which can have no other size; None: see below.
      everyday: whether it takes photographs of any size, and trains as networks of that kind are measured.
      rivals: what it is measured beside unless `--rivals` says otherwise.
    """

    title: str
    model: str
    pixels: Sample | None = None
    everyday: bool = False
    rivals: tuple[str, ...] = RIVALS


def _small(title: str, file: str, pixels: Sample) -> Network:
    return Network(title, f"{MODELS / file}.py:build", pixels)


def _everyday(title: str, file: str) -> Network:
    return Network(title, f"{MODELS / file}.py:build", everyday=True, rivals=OPEN_RIVALS)


NETWORKS = {
    "lenet": Network("LeNet-5", "lenet"),
    "mobilenet": _small("small MobileNet", "mobilenet", picture(32, 32, 3)),
    "transformer": _small("small transformer", "transformer", picture(8, 8, 1)),
    "keyword": Network("DS-CNN, a second of sound", "keyword", Sample("int16", (16000,))),
    "lstm": _small("LSTM", "lstm", picture(28, 28, 1)),
    "resnet18": _everyday("ResNet-18", "resnet18"),
    "mobilenet_v2": _everyday("MobileNetV2", "mobilenet_v2"),
    "mobilenet_v3_small": _everyday("MobileNetV3-Small", "mobilenet_v3_small"),
    "efficientnet_b0": _everyday("EfficientNet-B0", "efficientnet_b0"),
    "convnext_atto": _everyday("ConvNeXt-Atto", "convnext_atto"),
    "convnext_tiny": _everyday("ConvNeXt-Tiny", "convnext_tiny"),
    "vit_tiny": _everyday("ViT-Tiny", "vit_tiny"),
}
# What is measured where nothing is named: it takes a few minutes.
DEFAULT = ("lenet", "mobilenet", "transformer")


@dataclass(frozen=True)
class Measured:
    """A network as it is to be measured: the model, its recipe, its images, their classes and the rivals.

    `pixels` is None where it trains on the carried sample of MNIST.
    """

    name: str
    title: str
    model: str
    recipe: Recipe
    pixels: Sample | None
    classes: int
    rivals: tuple[str, ...]


def is_own(settings: Settings) -> bool:
    """Whether `--model` names one to measure: LeNet, which it names by default, is one of the networks."""
    return settings.model != Settings().model


def check_names(settings: Settings) -> None:
    """Refuses what is no network and no rival, before anything is read.

    Raises:
      UsageError: there is no such one.
    """
    _names(settings)
    rivals = settings.rivals or ()
    if unknown := [name for name in rivals if name not in ALL_RIVALS]:
        raise UsageError(f"--rivals {','.join(rivals)}: no rival {unknown[0]!r}; give some of {','.join(ALL_RIVALS)}")
    if is_own(settings):
        find_model(settings.model)


def choose(settings: Settings) -> list[Measured]:
    """The networks of `--networks`, each once, and that of `--model`; the default ones where neither is given.

    Raises:
      UsageError, ModelError: there is no such one, or it takes no images that it could be tried with.
    """
    measured = [_known(name, settings) for name in _names(settings)]
    return measured + ([_own(settings)] if is_own(settings) else [])


def _names(settings: Settings) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(settings.networks))
    if names == (ALL,):
        return tuple(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UsageError(
            f"--networks {','.join(names)}: no network {unknown[0]!r}; give some of {','.join(NETWORKS)}, or {ALL}; "
            "one of your own is --model"
        )
    return names or (() if is_own(settings) else DEFAULT)


def _known(name: str, settings: Settings) -> Measured:
    network = NETWORKS[name]
    if network.everyday:
        size = settings.image_size or SIZE
        pixels: Sample | None = picture(size, size, 3)
        recipe = sized(recipe_of(find_model(network.model), picture(size, size, 3)), size)
        recipe = replace(recipe, batch_size=BATCH, optimizer=Optimizer())
    else:
        pixels = network.pixels
        # The sample's images have the size of MNIST's.
        recipe = recipe_of(find_model(network.model), pixels or picture(28, 28, 1))
    rivals = network.rivals if settings.rivals is None else settings.rivals
    return Measured(name, network.title, network.model, _as_asked(recipe, settings), pixels, CLASSES, rivals)


def _own(settings: Settings) -> Measured:
    source = find_model(settings.model)
    recipe, pixels, classes = images_and_classes(source, settings.image_size, SIZE)
    rivals = OPEN_RIVALS if settings.rivals is None else settings.rivals
    name = f"{source.name}-own" if source.name in NETWORKS else source.name
    return Measured(name, source.name, settings.model, _as_asked(recipe, settings), pixels, classes, rivals)


def _as_asked(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with the options that the user gave instead."""
    batch = settings.runner.batch_size
    return chosen(recipe if batch is None else replace(recipe, batch_size=batch), settings)
