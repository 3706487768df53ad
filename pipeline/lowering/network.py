"""What the steps are made of, whichever way the gradients came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from device_runtime.formats.steps import GRADIENT, RENEWED
from pipeline.graphs.graph import Shape
from pipeline.graphs.inference_mode import trained_statistics
from pipeline.graphs.names import LOSS
from pipeline.graphs.reading import shapes_of


@dataclass(frozen=True)
class Network:
    """What both steps are made of.

    Attributes:
      training: the training graph, in the words that `rules/` knows.
      evaluation: the evaluation graph, with the same parameters: loss and `logits`.
      loss, evaluation_loss: the values of the two graphs that are the loss.
      preprocess: `pixels` uint8 N×H×W×C → `image` float32 N×C×H'×W'; None where the graphs take features.
      trainable: shapes of the trainable parameters by name, in the order of the flat vector.
      gradients: the value of the training graph that is the gradient of each.
      buffers: shapes of the buffers that training renews, in the order of their flat vector.
      renewed: the value of the training graph that each becomes.
      frozen: the frozen parameters by name.
      shapes: shapes of the forward graph's values.
      proximal: whether gradients are those of the loss with FedProx's term, μ/2 · |w − w0|² (Li et al., 2020); the
        loss that is given is without it.
    """

    training: onnx.ModelProto
    evaluation: onnx.ModelProto
    preprocess: onnx.ModelProto | None
    loss: str
    evaluation_loss: str
    trainable: Mapping[str, Shape]
    gradients: Mapping[str, str]
    buffers: Mapping[str, Shape]
    renewed: Mapping[str, str]
    frozen: Mapping[str, onnx.TensorProto]
    shapes: Mapping[str, Shape]
    proximal: bool = False


def network_of(
    training: onnx.ModelProto,
    evaluation: onnx.ModelProto,
    preprocess: onnx.ModelProto | None,
    forward: onnx.ModelProto,
    trainable: Sequence[str],
) -> Network:
    """A network of onnxruntime-training's graphs; parameters keep the order of `trainable`."""
    shapes = shapes_of(onnx.shape_inference.infer_shapes(forward))
    statistics = trained_statistics(forward)
    frozen = {t.name: t for t in forward.graph.initializer if t.name not in trainable and t.name not in statistics}
    parameters, buffers = ({name: shapes[name] for name in names} for names in (trainable, statistics))
    ordered, newest = _in_order_of_update(training, statistics)
    return Network(
        training=ordered,
        evaluation=evaluation,
        preprocess=preprocess,
        loss=training.graph.output[0].name,
        evaluation_loss=evaluation.graph.output[0].name,
        trainable=parameters,
        gradients={name: f"{name}_grad.accumulation.out" for name in trainable},
        buffers=buffers,
        renewed=newest,
        frozen=frozen,
        shapes=shapes,
    )


def network_of_joint(
    training: onnx.ModelProto, evaluation: onnx.ModelProto, preprocess: onnx.ModelProto | None
) -> Network:
    """A network of what `capture/joint/` wrote: the graphs' inputs and outputs say what trains and what is renewed."""
    shapes = shapes_of(training)
    results = [output.name for output in training.graph.output]
    gradients, renewed = (
        {name.removeprefix(kind): name for name in results if name.startswith(kind)} for kind in (GRADIENT, RENEWED)
    )
    return Network(
        training=training,
        evaluation=evaluation,
        preprocess=preprocess,
        loss=LOSS,
        evaluation_loss=LOSS,
        trainable={name: shapes[name] for name in gradients},
        gradients=gradients,
        buffers={name: shapes[name] for name in renewed},
        renewed=renewed,
        frozen={},
        shapes={info.name: shapes[info.name] for info in training.graph.input},
    )


def _in_order_of_update(model: onnx.ModelProto, statistics: Sequence[str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A training graph, a layer that is used twice updating its statistics twice; and where the newest ones stand."""
    training = onnx.ModelProto()
    training.CopyFrom(model)
    newest = {name: name for name in statistics}
    for node in training.graph.node:
        if node.op_type == "BatchNormInternal":
            for given, new in ((3, 1), (4, 2)):
                name = node.input[given]
                node.input[given] = newest[name]
                newest[name] = node.output[new]
    return training, newest
