"""First stage: a model's definition → forward.onnx and preprocess.onnx.

Reads a torch module of `pipeline/sources/models/`, of a user's file, or an ONNX model; writes into one folder
`forward.onnx` (`image` float32 N×C×H×W → `logits` float32 N×classes) and `preprocess.onnx`; where the recipe freezes
what comes first, also its two parts, `backbone.onnx` (→ `features`) and `trained.onnx` (`features` → `logits`).
Of a torch module also the graphs that the lowering reads, `training.onnx` and `evaluation.onnx`, with its state in
`state.safetensors`; and where the reference engine is asked for `reference.onnx`.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from device_runtime.formats.sample import Sample, Target
from pipeline.capture.preprocess import build_preprocessing, is_whole
from pipeline.capture.state import stored_state, tied_weights, write_passing, write_state
from pipeline.errors import ModelError, PipelineError, UsageError, brief
from pipeline.files import new_folder
from pipeline.graphs.edits import keep_constant
from pipeline.graphs.files import REFERENCE
from pipeline.graphs.names import RESERVED
from pipeline.graphs.reading import opset_of
from pipeline.progress import note
from pipeline.recipe import CUSTOM, Recipe
from pipeline.sources import python_file
from pipeline.sources.model_source import ModelSource, build_module, own_loss_of
from pipeline.sources.onnx_file import OPSETS, load_network, refuse_quantised, with_head

if TYPE_CHECKING:
    import onnx
    import torch


def export(
    source: ModelSource,
    recipe: Recipe,
    sample: Sample,
    target: Target,
    seed: int,
    folder: Path,
    reference: bool = False,
) -> None:
    """Writes the files of the stage into `folder`, which appears whole or not at all.

    Args:
      source: the model.
      recipe: tells the size of the model's input, what trains, and how the rest is stored.
      sample: one of the dataset's.
      target: what the output is compared with.
      seed: draws the initial weights.
      folder: takes the files.
      reference: whether onnxruntime-training's artifacts are to be made of a torch module: it takes its forward graph.

    Raises:
      ModelError: the model cannot be built or exported, or its input or output does not fit the dataset.
      UsageError: no parameter matches the recipe's `trainable`, or its mean or std does not fit the images' channels.
    """
    import onnx

    from pipeline.capture.half import round_weights
    from pipeline.capture.split import split_forward, split_parameters

    own = source.backbone or source
    # A forward pass may import what lies beside the file, too.
    with new_folder(folder) as temporary, python_file.importing_beside(own.python_file):
        if source.onnx_file:
            check_plain(source, recipe, sample, target)
            forward = load_network(source.onnx_file, sample, recipe.preprocessing)
        elif source.backbone and source.backbone.onnx_file:
            check_plain(source.backbone, recipe, sample, target)
            forward = with_head(source.backbone.onnx_file, sample, recipe.preprocessing, target.count, seed)
        else:
            module = build_module(source, target.count, seed)
            forward = _export_torch(module, source, recipe, sample, target, temporary)
            if reference and not (temporary / "backbone.onnx").exists() and not _unlike(recipe, sample, target):
                _write_reference(module, recipe, sample, temporary / REFERENCE)
            onnx.save(forward, temporary / "forward.onnx")
            preprocess = build_preprocessing(sample, recipe.preprocessing, OPSETS[-1])
            onnx.save(preprocess, temporary / "preprocess.onnx")
            return
        _check_output(forward, source, target.count)
        _check_initializers(forward)
        trainable, frozen = split_parameters(forward, recipe.trainable)
        if recipe.frozen_dtype == "float16":
            round_weights(forward, frozen)
        onnx.save(forward, temporary / "forward.onnx")
        parts = split_forward(forward, trainable)
        trained = parts[1] if parts else forward
        refuse_quantised(trained, source.name)
        _check_opset(trained, source)
        if parts:
            backbone, rest = parts
            onnx.save(backbone, temporary / "backbone.onnx")
            onnx.save(rest, temporary / "trained.onnx")
        preprocess = build_preprocessing(sample, recipe.preprocessing, opset_of(forward))
        onnx.save(preprocess, temporary / "preprocess.onnx")


def write_graph(model: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Writes the forward graph of a module in training mode: `image` N×… like the example → `logits` N×….

    Raises:
      Exception: torch's exporter cannot trace the module.
    """
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            str(path),
            dynamo=False,
            training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=False,
            opset_version=OPSETS[0],
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )


def _export_torch(
    model: torch.nn.Module, source: ModelSource, recipe: Recipe, sample: Sample, target: Target, folder: Path
) -> onnx.ModelProto:

    from pipeline.capture.half import round_frozen
    from pipeline.capture.joint.capture import capture_module
    from pipeline.capture.joint.selection import trainable_names

    _check_parameters(model)
    if recipe.frozen_dtype == "float16":
        round_frozen(model, trainable_names(model, recipe.trainable))
    image = _example(recipe, sample)
    _check_logits(model, image, source, target)
    write_state(model.state_dict(), tied_weights(model), folder)
    write_passing(model, folder)
    forward = capture_module(model, image, recipe, target, own_loss_of(source, recipe), stored_state(folder), folder)
    # torch's graphs are cycles, which hold the copies that were traced, with all weights.
    gc.collect()
    return forward


def _example(recipe: Recipe, sample: Sample) -> torch.Tensor:
    import torch

    if sample.is_picture:
        return torch.zeros(2, sample.shape[2], recipe.preprocessing.height, recipe.preprocessing.width)
    return torch.zeros(2, *sample.shape, dtype=torch.int64 if is_whole(sample) else torch.float32)


def check_plain(source: ModelSource, recipe: Recipe, sample: Sample, target: Target) -> None:
    """Refuses what onnxruntime-training's gradients are not made for here.

    Raises:
      UsageError: it is other than pictures of one class each by a plain loss.
    """
    if what := _unlike(recipe, sample, target):
        raise UsageError(
            f"an ONNX file, and --engine reference, train on pictures of one class each by a plain loss, {source.name} "
            f"is to have {what}: give a torch module, --model FILE.py:FACTORY, and --engine lowered"
        )


def _unlike(recipe: Recipe, sample: Sample, target: Target) -> str:
    """What onnxruntime-training's gradients are not made for here; empty where they are."""
    if recipe.loss == CUSTOM or recipe.class_weights:
        return "a loss of its own or class weights"
    return "" if sample.is_picture and target.is_one_class else f"samples of {sample.text} and {target.text}"


def _write_reference(model: torch.nn.Module, recipe: Recipe, sample: Sample, path: Path) -> None:
    """Writes the forward graph that onnxruntime-training differentiates for `--engine reference`, where torch can."""
    import onnx

    from pipeline.progress import quiet
    from pipeline.sources.module_copy import copied

    state = model.state_dict()
    try:
        # It prints the graphs that it cannot write, some of them from C++.
        with quiet():
            write_graph(copied(model), _example(recipe, sample), path)
        forward = onnx.load(path)
    # The older exporter knows fewer modules; what it cannot write only --engine reference misses.
    except Exception:
        path.unlink(missing_ok=True)
        return
    if len(forward.graph.output) != 1:
        path.unlink()
        return
    for tensor in forward.graph.initializer:
        if tensor.name in state:
            tensor.CopyFrom(onnx.numpy_helper.from_array(state[tensor.name].numpy(), tensor.name))
    # Those without an axis that are no parameters are numbers of the exporter's.
    numbers = {tensor.name for tensor in forward.graph.initializer if not tensor.dims} - {
        n for n, _ in model.named_parameters()
    }
    keep_constant(forward, _not_trained(model) | numbers)
    onnx.save(forward, path)


def _check_logits(model: torch.nn.Module, image: torch.Tensor, source: ModelSource, target: Target) -> None:
    """Runs a copy of the module once in evaluation mode: its output has to fit the dataset."""
    import torch

    from pipeline.capture.joint.instead import refusing_nested_tensors
    from pipeline.capture.joint.loss import logits_of
    from pipeline.sources.module_copy import copied
    from pipeline.sources.uncompiled import uncompiled

    calm = copied(model).eval()
    try:
        with torch.no_grad(), uncompiled(), refusing_nested_tensors():
            output = calm(image)
    except PipelineError:
        raise
    except Exception as error:
        sizes = "×".join(map(str, image.shape[1:]))
        what = f"samples of {sizes}"
        if image.dim() == 4:
            what = f"images of {sizes} (channels×height×width; --data gives the channels, the model's recipe the size)"
        raise ModelError(
            f"the model cannot be exported to ONNX for {what}: "
            f"{(str(error).strip().splitlines() or [type(error).__name__])[0]}"
        ) from error
    logits = logits_of(output)
    if logits is not output:
        note(f"of the outputs of the model {source.name!r} the logits train: the first, or the one of that name")
    if logits.dtype != torch.float32:
        kind = str(logits.dtype).removeprefix("torch.")
        raise ModelError(f"the model {source.name!r} gives an output of type {kind}: the logits have to be float32")
    if logits.shape != (len(image), *target.output):
        raise ModelError(
            f"the model {source.name!r} gives an output of shape N×{'×'.join(map(str, logits.shape[1:]))}, "
            f"the dataset has {target.text}: the output has to be N×{'×'.join(map(str, target.output))}"
        )


def _check_initializers(forward: onnx.ModelProto) -> None:
    """Refuses weights of an ONNX file that are no numbers; −∞ may be a mask."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    floats = (tensor for tensor in forward.graph.initializer if tensor.data_type == TensorProto.FLOAT)
    _refuse_weights([tensor.name for tensor in floats if not (numpy_helper.to_array(tensor) < np.inf).all()])


def _refuse_weights(names: Sequence[str]) -> None:
    if names:
        raise ModelError(f"initial weights are NaN or infinite, no training mends them: {brief(names, 5)}")


def _check_parameters(model: torch.nn.Module) -> None:
    """Refuses weights that are not there, not here, in a form that no graph has, or no numbers."""
    import torch

    from pipeline.capture.joint.failures import check_form

    lazy = [name for name, parameter in model.named_parameters() if torch.nn.parameter.is_lazy(parameter)]
    if lazy:
        raise ModelError(f"{', '.join(lazy)}: not initialized; call the module once on an example in its factory")
    places = {parameter.device.type for parameter in model.parameters()} - {"cpu"}
    if places:
        raise ModelError(f"the model's parameters are on {', '.join(sorted(places))}: make it on the CPU")
    held = (*model.named_parameters(), *model.named_buffers())
    check_form(dict(held))
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    pairs = [name for name, parameter in trained.items() if parameter.is_complex()]
    if pairs:
        raise ModelError(
            f"complex parameters: {brief(pairs, 5)}; keep pairs of real numbers (torch.view_as_real(weight)), and take "
            "torch.view_as_complex of them in forward"
        )
    others = [name for name, parameter in trained.items() if parameter.dtype != torch.float32]
    if others:
        raise ModelError(f"not float32, in which training computes: {brief(others, 5)}; call .float() on the model")
    _refuse_weights([name for name, parameter in model.named_parameters() if not parameter.isfinite().all()])
    hooked = [name for name, parameter in model.named_parameters() if parameter._post_accumulate_grad_hooks]
    if hooked:
        raise ModelError(
            f"hooks after a gradient is accumulated run in torch alone: {brief(hooked, 5)}; use register_hook instead"
        )
    taken = [name for name, _ in held if name in RESERVED]
    if taken:
        raise ModelError(f"the graphs have values of their own that are called {', '.join(taken)}: rename the model's")


def _not_trained(model: torch.nn.Module) -> set[str]:
    """What training in torch leaves as it is: parameters without a gradient, buffers but for running statistics."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    statistics = ("running_mean", "running_var")
    return frozen | {name for name, _ in model.named_buffers() if not name.endswith(statistics)}


def _check_opset(trained: onnx.ModelProto, source: ModelSource) -> None:
    """Refuses a backbone that kept its opset and of which more trains than the head's one node."""
    if opset_of(trained) not in OPSETS and len(trained.graph.node) > 1:
        raise ModelError(
            f"the backbone of {source.name} is of opset {opset_of(trained)}, in which it can only stay frozen: "
            f"train the head alone, or export the backbone with opset_version={OPSETS[-1]}"
        )


def _check_output(forward: onnx.ModelProto, source: ModelSource, classes: int) -> None:
    import onnx

    if len(forward.graph.output) != 1:
        raise ModelError(
            f"the model {source.name!r} gives {len(forward.graph.output)} outputs: it has to give logits alone"
        )
    inferred = onnx.shape_inference.infer_shapes(forward)
    kind = inferred.graph.output[0].type.tensor_type.elem_type
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED):
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"the model {source.name!r} gives an output of type {name}: the logits have to be float32")
    shape = [dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] not in (0, classes):
        raise ModelError(
            f"the model {source.name!r} gives an output of shape N×{'×'.join(map(str, shape[1:]))}, "
            f"the dataset has {classes} classes: the logits have to be N×{classes}"
        )
