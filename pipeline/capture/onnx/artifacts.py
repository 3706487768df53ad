"""Second stage: forward.onnx → the training artifacts of onnxruntime-training.

Reads the export folder; writes differentiable.onnx, the forward graph as it is differentiated (`rewrite.py`),
training_model.onnx, eval_model.onnx, checkpoint and, for the optimizers that onnxruntime-training knows,
optimizer_model.onnx.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.capture.losses import is_fused, with_loss
from pipeline.errors import ModelError, UsageError, brief
from pipeline.files import new_folder
from pipeline.graphs.files import REFERENCE, is_joint
from pipeline.graphs.stored import SMALLEST_BYTES
from pipeline.optimizers import Optimizer
from pipeline.progress import quiet
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import onnx

DIFFERENTIABLE = "differentiable.onnx"
# In it the larger tensors of that graph.
WEIGHTS = "differentiable.bin"


def build_artifacts(export_folder: Path, recipe: Recipe, classes: int, folder: Path) -> None:
    """Writes the artifacts into `folder`, which appears whole or not at all.

    Raises:
      UsageError: no parameter matches the recipe's `trainable`.
      LoweringError: an operator without a gradient cannot be rewritten.
      ModelError: the model does not run with every batch size, or onnxruntime-training cannot differentiate it; the
        message carries its reason.
    """
    import onnx

    from pipeline.capture.onnx.rewrite import load_differentiable
    from pipeline.capture.split import split_parameters, trained_part

    trained = onnx.load(trained_part(export_folder))
    _refuse_subgraphs(trained)
    forward = load_differentiable(export_folder)
    trainable, frozen = split_parameters(trained, recipe.trainable)
    with_its_loss = forward if is_fused(recipe) else with_loss(forward, recipe, classes)
    with new_folder(folder) as temporary:
        onnx.save(forward, temporary / DIFFERENTIABLE)
        _generate(with_its_loss, trainable, frozen, recipe, temporary)
        _use_torch_order(temporary / "optimizer_model.onnx")
        _make_loadable(temporary / "eval_model.onnx")
        _part(temporary / DIFFERENTIABLE)


def _part(graph: Path) -> None:
    """Puts the larger tensors of a graph into a file of their own: who asks for its shapes reads the graph alone."""
    import onnx

    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location=WEIGHTS, size_threshold=SMALLEST_BYTES)


def _refuse_subgraphs(trained: onnx.ModelProto) -> None:
    """An If, Loop or Scan ends the process in onnxruntime-training's gradients."""
    nodes = [node for node in trained.graph.node if any(a.HasField("g") or a.graphs for a in node.attribute)]
    if nodes:
        names = brief([f"{node.op_type} (node {node.name!r})" for node in nodes], 5)
        raise ModelError(f"no gradient is known of {names}: export the model without, or freeze what comes before it")


def _generate(forward: onnx.ModelProto, trainable: list[str], frozen: list[str], recipe: Recipe, folder: Path) -> None:
    with quiet():
        from onnxruntime.training import artifacts

        try:
            artifacts.generate_artifacts(
                forward,
                requires_grad=trainable,
                frozen_params=frozen,
                loss=artifacts.LossType.CrossEntropyLoss if is_fused(recipe) else None,
                optimizer=_optimizer_block(recipe.optimizer, recipe.clip_norm),
                artifact_directory=folder,
                additional_output_names=["logits"],
            )
        # Of builtin classes, and onnx's own.
        except Exception as error:
            raise ModelError(
                f"onnxruntime-training cannot differentiate the model: {_reason(error)}; "
                "replace the operator, or freeze the parameters before it"
            ) from error


def _reason(error: Exception) -> str:
    """What its message says behind the C++ function's signature and the condition that did not hold."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for last_before in (" was false. ", "[ONNXRuntimeError] : ", " const "):
        if last_before in line:
            return line.rpartition(last_before)[2]
    return line


def _use_torch_order(optimizer_model: Path) -> None:
    """Sets AdamW's mode to torch's: Hugging Face's, the default, adds eps before the bias correction of the variance.

    With LeNet's first gradients of 1e-7 the two differ by percents.
    """
    import onnx

    if not optimizer_model.exists():
        return
    model = onnx.load(optimizer_model)
    for attribute in (a for node in model.graph.node for a in node.attribute if a.name == "adam_mode"):
        attribute.i = 0
    onnx.save(model, optimizer_model)


def _make_loadable(eval_model: Path) -> None:
    """Batch normalisation keeps three outputs there, of which inference has one."""
    import onnx

    from pipeline.graphs.inference_mode import to_inference_mode

    model = onnx.load(eval_model)
    to_inference_mode(model)
    onnx.save(model, eval_model)


def _optimizer_block(optimizer: Optimizer, clip_norm: float | None) -> Any:
    """onnxruntime-training's block for clipping and an optimizer, or None where it has none."""
    from onnxruntime.training import onnxblock

    options = optimizer.values()
    if not _is_known(optimizer):
        return None
    clip = None if clip_norm is None else onnxblock.optim.ClipGradNorm(clip_norm)
    if optimizer.name == "sgd":
        return onnxblock.optim.SGD(clip_grad=clip)
    return onnxblock.optim.AdamW(
        bias_correction=True,
        betas=(options["beta1"], options["beta2"]),
        eps=options["eps"],
        weight_decay=options["weight_decay"],
        clip_grad=clip,
    )


def _is_known(optimizer: Optimizer) -> bool:
    """Whether onnxruntime-training has it: AdamW, Adam where that is the same, and plain SGD."""
    options = optimizer.values()
    if optimizer.name == "sgd":
        return not options["momentum"] and not options["weight_decay"]
    return optimizer.name == "adamw" or (optimizer.name == "adam" and not options["weight_decay"])


def check_reference_optimizer(optimizer: Optimizer) -> None:
    """Refuses for `--engine reference` what its runner would refuse after everything is built.

    Raises:
      UsageError: onnxruntime-training has no such optimizer.
    """
    if not _is_known(optimizer):
        raise UsageError(
            f"--engine reference: onnxruntime-training has no {optimizer.name} with these options: "
            "use --engine lowered, or --optimizer adam, adamw or sgd without momentum"
        )


def check_reference_model(export_folder: Path) -> None:
    """Refuses for `--engine reference` what its runner would refuse after everything is built.

    Raises:
      UsageError: a frozen backbone stands before what trains, or batch normalisation trains.
    """
    import onnx

    from pipeline.capture.split import trained_part
    from pipeline.graphs.inference_mode import trained_statistics

    if (export_folder / "backbone.onnx").exists():
        raise UsageError("--engine reference trains no model behind a frozen backbone: use --engine lowered")
    if is_joint(export_folder) and not (export_folder / REFERENCE).exists():
        raise UsageError("--engine reference: torch's older exporter cannot write this model: use --engine lowered")
    if trained_statistics(onnx.load(trained_part(export_folder))):
        raise UsageError("--engine reference keeps no running statistics of batch normalisation: use --engine lowered")
