"""Third stage: the export and the artifacts → the package's model folder.

Reads the export and the artifacts; writes the steps (gradient, update, train, sink, eval), model.json, the untrained
checkpoint and, for `--engine reference`, the artifacts under reference/. A frozen backbone becomes features.onnx, after
the preprocessing; other frozen weights stand in frozen.bin, to which all steps refer.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from device_runtime.formats.checkpoint import Checkpoint, untrained_name, write_checkpoint
from device_runtime.formats.model import Model, OptimizerRecord, RecipeRecord, Tensor, layout, write_model
from device_runtime.formats.sample import Sample, Target
from pipeline.capture.onnx.artifacts import DIFFERENTIABLE, WEIGHTS
from pipeline.capture.state import initial_values
from pipeline.files import new_folder
from pipeline.graphs.files import EVALUATION, TRAINING, is_joint
from pipeline.graphs.stored import embed, load_light, values_of
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import onnx

    from pipeline.graphs.graph import Shape
    from pipeline.lowering.network import Network


def build_model_folder(
    name: str,
    recipe: Recipe,
    sample: Sample,
    target: Target,
    export_folder: Path,
    artifacts: Path | None,
    folder: Path,
) -> None:
    """Lowers the artifacts into `folder`, which appears whole or not at all.

    Raises:
      LoweringError: an operator has no form in the ONNX standard.
    """
    import onnx

    from pipeline.capture.half import store_half
    from pipeline.capture.preprocess import after_preprocessing
    from pipeline.lowering.frozen import FrozenWeights
    from pipeline.lowering.sink import build_sink_step
    from pipeline.lowering.step import (
        build_eval_step,
        build_gradient_step,
        build_norm_step,
        build_train_step,
        build_update_step,
    )

    network = read_network(recipe, export_folder, artifacts)
    backbone = export_folder / "backbone.onnx"
    preprocess = onnx.load(export_folder / "preprocess.onnx")
    model = _describe(name, recipe, sample, target, network)
    with new_folder(folder) as temporary:
        train_step = build_train_step(network, recipe.optimizer, recipe.clip_norm)
        graphs = {
            "train_step": train_step,
            "sink_step": build_sink_step(train_step),
            "gradient_step": build_gradient_step(network),
            "update_step": build_update_step(recipe.optimizer),
            "eval_step": build_eval_step(network, target.output),
        }
        if recipe.clip_norm is not None:
            graphs["norm_step"] = build_norm_step()
        if backbone.exists():
            # With its own weights, as its digest names the features that are kept.
            graphs["features"] = after_preprocessing(preprocess, load_light(backbone))
            embed(graphs["features"])
        frozen = FrozenWeights(temporary, recipe.frozen_dtype == "float16")
        for file, graph in graphs.items():
            if recipe.frozen_dtype == "float16":
                store_half(graph)
            frozen.take(graph)
            onnx.save(graph, temporary / f"{file}.onnx")
        write_model(temporary, model)
        write_checkpoint(
            temporary / untrained_name(model), _untrained(_initial_values(export_folder, artifacts), model), model
        )
        if artifacts is not None and not backbone.exists():
            _copy_reference(export_folder, artifacts, temporary / "reference")


def read_network(recipe: Recipe, export_folder: Path, artifacts: Path | None) -> Network:
    """What the steps are made of: of a torch module the export says it, of an ONNX file the artifacts do."""
    from pipeline.lowering.recompute import recomputed

    network = replace(_read_network(recipe, export_folder, artifacts), proximal=recipe.proximal)
    return recomputed(network) if recipe.recompute else network


def _read_network(recipe: Recipe, export_folder: Path, artifacts: Path | None) -> Network:
    from pipeline.lowering.network import network_of_joint

    if artifacts is None or is_joint(export_folder):
        training, evaluation = (load_light(export_folder / file) for file in (TRAINING, EVALUATION))
        return network_of_joint(training, evaluation, _preprocessing(export_folder))
    return read_reference(recipe, export_folder, artifacts)


def read_reference(recipe: Recipe, export_folder: Path, artifacts: Path) -> Network:
    """What onnxruntime-training trains."""
    from pipeline.capture.split import split_parameters, trained_part
    from pipeline.lowering.network import network_of

    preprocess = _preprocessing(export_folder)
    trainable, _ = split_parameters(load_light(trained_part(export_folder)), recipe.trainable)
    training, evaluation = (load_light(artifacts / f"{name}_model.onnx") for name in ("training", "eval"))
    return network_of(training, evaluation, preprocess, load_light(artifacts / DIFFERENTIABLE), trainable)


def _preprocessing(export_folder: Path) -> onnx.ModelProto | None:
    """None where the features of a frozen first part are given."""
    import onnx

    is_split = (export_folder / "backbone.onnx").exists()
    return None if is_split else onnx.load(export_folder / "preprocess.onnx")


def _initial_values(export_folder: Path, artifacts: Path | None) -> Mapping[str, onnx.TensorProto]:
    """Parameters and buffers by name, before training, as `load_light` gives them."""
    if artifacts is None or is_joint(export_folder):
        return initial_values(export_folder)
    forward = load_light(artifacts / DIFFERENTIABLE)
    return {tensor.name: tensor for tensor in forward.graph.initializer}


def _describe(name: str, recipe: Recipe, sample: Sample, target: Target, network: Network) -> Model:
    """What model.json says of the graphs of a network."""
    from pipeline.graphs.names import FEATURES

    optimizer = recipe.optimizer
    return Model(
        name=name,
        input=sample,
        target=target,
        parameters=layout((tensor, _static(shape)) for tensor, shape in network.trainable.items()),
        buffers=layout((tensor, _static(shape)) for tensor, shape in network.buffers.items()),
        optimizer=OptimizerRecord(optimizer.name, optimizer.values(), optimizer.states()),
        features=_static(network.shapes[FEATURES][1:]) if network.preprocess is None else None,
        recipe=RecipeRecord(
            recipe.batch_size,
            recipe.cycles,
            recipe.learning_rate,
            recipe.report_every,
            recipe.evaluate_every,
            recipe.target_accuracy,
        ),
        loss=recipe.loss,
        clip_norm=recipe.clip_norm,
        proximal=recipe.proximal,
    )


def _static(shape: Shape) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


def _untrained(values: Mapping[str, onnx.TensorProto], model: Model) -> Checkpoint:
    return Checkpoint(0, vector_of(values, model.parameters), vector_of(values, model.buffers), {})


def vector_of(values: Mapping[str, onnx.TensorProto], tensors: Sequence[Tensor]) -> npt.NDArray[np.float32]:
    """Some tensors one after another; of each the numbers are read by themselves."""
    vector = np.empty(sum(tensor.size for tensor in tensors), np.float32)
    for tensor in tensors:
        vector[tensor.offset : tensor.offset + tensor.size] = np.ravel(values_of(values[tensor.name]))
    return vector


def _copy_reference(export_folder: Path, artifacts: Path, folder: Path) -> None:
    shutil.copytree(artifacts, folder, ignore=shutil.ignore_patterns(".*", DIFFERENTIABLE, WEIGHTS))
    shutil.copy(export_folder / "preprocess.onnx", folder)
