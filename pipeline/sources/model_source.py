"""Where a model comes from: a module of `models/`, a user's Python file, or an ONNX model; and its recipe."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from device_runtime.formats.sample import Sample
from pipeline.errors import ModelError, PipelineError, UsageError, in_one_line
from pipeline.files import sha256_of
from pipeline.recipe import CUSTOM, Preprocessing, Recipe
from pipeline.sources import models, python_file
from pipeline.sources.onnx_file import files_of, fit_preprocessing
from pipeline.sources.weights import load_weights

if TYPE_CHECKING:
    import torch

# Of a name; what is added for checkpoints and temporary files stays below 255.
_LONGEST_NAME = 100

# Of a model's file, the function that is its loss.
_LOSS = "LOSS"

# How the folders of other stages in the build folder begin.
_STAGES = ("dataset-", "package-", "runtime-", "bench")


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from, read from `--model`.

    Attributes:
      name: what checkpoints and runs are named after.
      onnx_file: an ONNX model, or None.
      python_file: a Python file with a factory of a torch module, or None for a model of the project.
      factory: the name of the function that builds the module.
      head: for `transfer`, what the head stands on.
      backbone: for `transfer`, what to stand on instead of its own: an ONNX file or a Python file.
      weights: a file with the weights that a torch module starts from, or None for those that it draws.
    """

    name: str
    onnx_file: Path | None = None
    python_file: Path | None = None
    factory: str = "build"
    head: str | None = None
    backbone: ModelSource | None = None
    weights: Path | None = None

    def files(self) -> list[Path]:
        """Every file of the user's that the model is read from."""
        own = files_of(self.onnx_file) if self.onnx_file else []
        own += python_file.files_of(self.python_file) if self.python_file else []
        own += [self.weights] if self.weights else []
        return own + (self.backbone.files() if self.backbone else [])


def find_model(text: str, head: str | None = None, backbone: str | None = None) -> ModelSource:
    """Reads `--model`: a name, `model.onnx`, or `path/to/module.py:factory`; `--head` and `--backbone` of `transfer`.

    Raises:
      UsageError: it is none of these, or the file does not exist.
    """
    if text in models.names():
        if head and head not in models.HEADS:
            raise UsageError(f"--head {head}: give one of {', '.join(models.HEADS)}")
        chosen = find_model(backbone) if backbone else None
        if backbone in models.names():
            raise UsageError(f"--backbone {backbone}: give a file model.onnx or path/to/module.py:factory")
        return ModelSource(text, head=head, backbone=chosen)
    path_text, _, factory = text.partition(":")
    path = Path(path_text)
    if path.suffix == ".onnx" and not factory:
        source = ModelSource(plain_name(path.stem), onnx_file=path)
    elif path.suffix == ".py" and factory.isidentifier():
        name = plain_name(factory if factory != "build" else path.stem)
        source = ModelSource(name, python_file=path, factory=factory)
    else:
        raise UsageError(
            f"unknown model {text!r}: give one of {', '.join(models.names())}, a file model.onnx, "
            "or path/to/module.py:factory"
        )
    if not path.is_file():
        raise UsageError(f"the model's file {path} does not exist")
    return source


def plain_name(text: str) -> str:
    """A name of any characters as one that folders and checkpoints can have, on the host and on a device.

    Every shell, list of digests and file system on the way takes it as it is; other stages' folders have other names.
    """
    plain = re.sub("[^A-Za-z0-9_.-]+", "_", text).lstrip(".-")[:_LONGEST_NAME] or "model"
    return f"model_{plain}" if plain.startswith(_STAGES) else plain


def with_weights(source: ModelSource, file: Path | None) -> ModelSource:
    """The model that starts from the weights in a file; None: from those that it draws.

    Raises:
      UsageError: the file does not exist.
    """
    if file is None:
        return source
    if not file.is_file():
        raise UsageError(f"--weights {file}: no such file")
    return replace(source, weights=file)


def recipe_of(source: ModelSource, sample: Sample) -> Recipe:
    """The recipe of a model: `RECIPE` of its module, else one that takes its input's size and pixels / 255.

    Raises:
      ModelError: the model's file cannot be loaded.
      UsageError: it is an ONNX file, and the samples are no pictures.
    """
    # Only pictures are scaled and normalised before the model: an array is given to it as it is.
    files = (source.onnx_file, source.backbone.onnx_file if source.backbone else None)
    if any(files) and not sample.is_picture:
        raise UsageError(
            f"an ONNX file trains on pictures, the samples are {sample.text}: give a torch module, "
            "--model FILE.py:FACTORY"
        )
    as_it_is = Preprocessing(sample.shape[0], sample.shape[1]) if sample.is_picture else Preprocessing(1, 1)
    if source.onnx_file:
        return Recipe(fit_preprocessing(source.onnx_file, sample, as_it_is))
    recipe = own_recipe(source) or Recipe(as_it_is)
    if hasattr(_module(source), _LOSS):
        recipe = replace(recipe, loss=CUSTOM)
    if source.backbone and source.backbone.onnx_file:
        return replace(recipe, preprocessing=fit_preprocessing(source.backbone.onnx_file, sample, recipe.preprocessing))
    return recipe


def own_recipe(source: ModelSource) -> Recipe | None:
    """`RECIPE` of a model's module; None where it has none.

    Raises:
      ModelError: the model's file cannot be loaded, or that is no recipe.
    """
    recipe = None if source.onnx_file else getattr(_module(source), "RECIPE", None)
    if not isinstance(recipe, Recipe | None):
        raise ModelError(f"{source.python_file}: RECIPE is not a pipeline.recipe.Recipe")
    return recipe


def own_loss_of(source: ModelSource, recipe: Recipe) -> Callable[[Any, Any], Any] | None:
    """The model's own loss of its output and a batch's targets, where the recipe trains by it.

    Raises:
      ModelError: it is no function.
    """
    if recipe.loss != CUSTOM:
        return None
    loss = getattr(_module(source), _LOSS, None)
    if not callable(loss):
        raise ModelError(f"{source.python_file}: {_LOSS} is no function of the model's output and the targets")

    def own(output: Any, targets: Any) -> Any:
        found = loss(output, targets)
        if (wrong := _wrong_loss(found)) is not None:
            raise ModelError(f"{source.python_file}: {_LOSS} gives {wrong}: give one float32 number, the batch's mean")
        return found

    return own


def _wrong_loss(found: Any) -> str | None:
    """What a loss is that is no number to train by, or None."""
    import torch

    if not isinstance(found, torch.Tensor):
        return f"{type(found).__name__}, which is no tensor"
    if found.ndim or found.dtype != torch.float32:
        return f"a tensor of shape {tuple(found.shape)} and {found.dtype}"
    return None


def build_module(source: ModelSource, classes: int, seed: int) -> torch.nn.Module:
    """The torch module of a model that is one, with its initial weights; the same for all who ask: leave it as it is.

    Raises:
      ModelError: its file cannot be loaded, or what it makes is no torch module.
    """
    return _built(source, classes, seed, tuple(sha256_of(path) for path in source.files()))


@lru_cache(maxsize=2)
def _built(source: ModelSource, classes: int, seed: int, digests: tuple[str, ...]) -> torch.nn.Module:
    """Calls the factory; digests of the files tell whether they are still the same."""
    import torch

    module = _module(source)
    factory: Callable[..., Any] | None = getattr(module, source.factory, None)
    if factory is None:
        raise ModelError(f"{source.python_file} has no function {source.factory!r}")
    torch.manual_seed(seed)
    try:
        with python_file.importing_beside(source.python_file):
            model = factory(classes, **_choices(source, classes, seed)) if source.python_file is None else factory()
    except PipelineError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{source.python_file}:{source.factory}() failed: {in_one_line(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"{source.python_file}:{source.factory}() returned {type(model).__name__}, not a torch module")
    if source.weights:
        load_weights(model, source.weights)
    return model


def _module(source: ModelSource) -> ModuleType:
    if source.python_file is None:
        return importlib.import_module(f"pipeline.sources.models.{source.name}")
    return python_file.load(source.python_file)


def _choices(source: ModelSource, classes: int, seed: int) -> dict[str, Any]:
    """Keyword arguments of a project's model for what the user chose."""
    head = {"head": source.head} if source.head else {}
    return head | ({"backbone": build_module(source.backbone, classes, seed)} if source.backbone else {})
