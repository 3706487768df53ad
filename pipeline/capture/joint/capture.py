"""A torch module → its training and evaluation graphs, and its forward graph, in one go.

Writes training.onnx and evaluation.onnx, which the lowering reads, and returns the forward graph, of which the
inference model is made. Where a first part is frozen, and the same in training and evaluation, it becomes backbone.onnx
and the two graphs start behind it, at `features`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from torch import Tensor, nn

from device_runtime.formats.sample import Target
from pipeline.capture.joint.cut import cut, without_loss
from pipeline.capture.joint.instead import check_layers
from pipeline.capture.joint.loss import LossOfOutput, evaluation_loss_of, example_of, training_loss_of
from pipeline.capture.joint.operators.random import RANDOM
from pipeline.capture.joint.places import drawing_places, places_of
from pipeline.capture.joint.renewed import check_evaluation, renewed_buffers
from pipeline.capture.joint.selection import for_training, tell_modes
from pipeline.capture.joint.trace import trace_evaluation, trace_training, unreached_parameters
from pipeline.capture.joint.translate import UnknownOperatorsError, translate
from pipeline.errors import ModelError
from pipeline.graphs.files import EVALUATION, TRAINING
from pipeline.progress import note
from pipeline.recipe import Recipe
from pipeline.sources.module_copy import copied
from pipeline.sources.uncompiled import uncompiled


@uncompiled()
def capture_module(
    module: nn.Module,
    image: Tensor,
    recipe: Recipe,
    target: Target,
    own_loss: LossOfOutput | None,
    stored: Mapping[str, onnx.TensorProto],
    folder: Path,
) -> onnx.ModelProto:
    """Writes the graphs into a folder and returns the forward graph.

    Args:
      module: left as it was given.
      image: an example of two samples, as the module takes them.
      recipe: tells the loss and what trains.
      target: what the outputs are compared with.
      own_loss: the model's own, or None.
      stored: the module's tensors whose numbers stand in a file, to which the graphs refer.
      folder: takes the files; it has that one.

    Raises:
      ModelError: torch cannot export the module, it has a layer that is refused, or draws random numbers in evaluation.
      LoweringError: it uses operators that have no form here.
      UsageError: nothing is left to train.
    """
    check_layers(module)
    label, loss = example_of(target, len(image)), training_loss_of(recipe, target, own_loss)
    # Each run on a copy of its own: what a module keeps of one may change the next.
    probed, held = for_training(module, recipe.trainable)
    tell_modes(probed, held)
    if recipe.auxiliary:
        weights = ", ".join(f"{name!r} with the weight {weight:g}" for name, weight in recipe.auxiliary.items())
        note(f"of the other outputs these train too: {weights}")
    unreached = unreached_parameters(probed, held, image, label, loss)
    # Each copy has all weights: at most one lives beside the module.
    del probed
    trained, held = for_training(module, recipe.trainable)
    for name in unreached:
        trained.get_parameter(name).requires_grad_(False)
    trains = [name for name, parameter in trained.named_parameters() if parameter.requires_grad]
    traced = trace_training(trained, held, image, label, loss)
    evaluated = trace_evaluation(copied(module), image, label, evaluation_loss_of(recipe, target, own_loss))
    check_evaluation(traced, evaluated)
    state = [*trains, *renewed_buffers(traced)]
    try:
        training, evaluation = translate(traced, state, stored), translate(evaluated, state, stored)
    except UnknownOperatorsError as error:
        raise UnknownOperatorsError(error.calls, places_of(for_training(module, recipe.trainable)[0], image)) from error
    if RANDOM & {node.op_type for node in evaluation.graph.node}:
        places = ", ".join(drawing_places(copied(module).eval(), image))
        raise ModelError(f"the model draws random numbers in evaluation too, in {places}: guard it by self.training")
    forward = without_loss(translate(evaluated, [], stored))
    parts = cut(training, evaluation, forward, trains)
    if parts:
        backbone, training, evaluation = parts
        onnx.save(backbone, folder / "backbone.onnx")
    onnx.save(training, folder / TRAINING)
    onnx.save(evaluation, folder / EVALUATION)
    return forward
