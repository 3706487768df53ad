"""What a model that is no network of the bench takes and gives, found by trying it: no dataset says so."""

from __future__ import annotations

from dataclasses import replace

from device_runtime.formats.sample import Sample, picture
from pipeline.errors import ModelError, PipelineError, in_one_line
from pipeline.recipe import Recipe
from pipeline.sources import python_file
from pipeline.sources.model_source import ModelSource, build_module, recipe_of
from pipeline.sources.onnx_file import load_network

# Of a network that has as many as the dataset.
CLASSES = 10
# Of colours, and of grey.
CHANNELS = (3, 1)


def sized(recipe: Recipe, size: int | None) -> Recipe:
    """A recipe for square images of a size; None: as it is."""
    if size is None:
        return recipe
    return replace(recipe, preprocessing=replace(recipe.preprocessing, height=size, width=size))


def images_and_classes(source: ModelSource, size: int | None, default_size: int) -> tuple[Recipe, Sample, int]:
    """A model's recipe, images that need no resizing for it, and the number of its logits.

    Args:
      source: the model.
      size: of the images; an ONNX file that has one keeps its own. None: the recipe's, where there is one.
      default_size: of the images of a model that says nothing.

    Raises:
      ModelError: it takes no such images.
    """
    errors: list[str] = []
    for channels in CHANNELS:
        wanted = size or default_size
        try:
            recipe = recipe_of(source, picture(wanted, wanted, channels))
            recipe = recipe if source.onnx_file else sized(recipe, size)
            pixels = picture(recipe.preprocessing.height, recipe.preprocessing.width, channels)
            return recipe, pixels, _logits(source, recipe, pixels)
        except PipelineError as error:
            errors.append(str(error))
        # What a module raises that is given the wrong images can be anything.
        except Exception as error:
            errors.append(in_one_line(error))
    raise ModelError(
        f"{source.name} takes images neither of {CHANNELS[0]} nor of {CHANNELS[1]} channel; give it a RECIPE, or bench "
        f"another --image-size: {'; '.join(dict.fromkeys(errors))}"
    )


def _logits(source: ModelSource, recipe: Recipe, pixels: Sample) -> int:
    if source.onnx_file:
        from pipeline.capture.shapes import run_on_zeros

        return int(run_on_zeros(load_network(source.onnx_file, pixels, recipe.preprocessing), 2)["logits"].shape[1])
    import torch

    from pipeline.capture.joint.loss import logits_of

    image = torch.zeros(2, pixels.shape[2], pixels.shape[0], pixels.shape[1])
    module = build_module(source, CLASSES, 1)
    training = module.training
    with torch.no_grad(), python_file.importing_beside(source.python_file):
        # In evaluation no buffer is renewed: the module is everybody's.
        logits = logits_of(module.eval()(image))
    module.train(training)
    return int(logits.shape[1])
