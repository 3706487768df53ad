"""A user's ONNX file, as a whole model or as the backbone under a new head.

Both give the forward graph: `image` float32 N×C×H×W → `logits` float32 N×classes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_runtime.formats.sample import Sample
from pipeline.errors import ModelError, PipelineError
from pipeline.graphs.edits import keep_constant, rename
from pipeline.graphs.names import IMAGE, LOGITS
from pipeline.graphs.reading import opset_of
from pipeline.recipe import Preprocessing
from pipeline.sources.onnx_files.reading import check, keep_one_output, read, say
from pipeline.sources.onnx_files.refusals import refusing

if TYPE_CHECKING:
    import onnx

# Opsets of the graphs here, best first: the last for whose every operator onnxruntime-training 1.19.2 has its
# gradients, and that of the lowered graphs, which has layer normalisation.
OPSETS = (15, 17)

_QUANTISED = re.compile(r"^(Q(uantize)?Linear|DequantizeLinear|DynamicQuantizeLinear|\w+Integer$)")


def load_network(path: Path, sample: Sample, preprocessing: Preprocessing) -> onnx.ModelProto:
    """Reads a whole model, whose input and output get the names `image` and `logits`, in one of OPSETS.

    Every parameter is an initializer of its own, everything else a Constant (`onnx_files/constants.py`).

    Raises:
      ModelError: the file cannot be read, is no valid ONNX model, or not of this form.
    """
    own, kept = _loaded(path, sample, preprocessing)
    refuse_quantised(own, str(path))
    if own.graph.node and own.graph.node[-1].op_type == "Softmax":
        say(f"{path} ends in Softmax, and cross entropy takes logits: export it without, or train with another --loss")
    with refusing(f"{path} cannot be trained", f"export it with opset_version={OPSETS[-1]}"):
        return _named(_converted(own, kept, path), path)


def files_of(path: Path) -> list[Path]:
    """The file of a model, and those beside it that hold its weights.

    Raises:
      ModelError: the file cannot be read.
    """
    import onnx

    with refusing(f"{path} is not a valid ONNX model", "export it again"):
        stored = (tensor.external_data for tensor in onnx.load(path, load_external_data=False).graph.initializer)
        names = {entry.value for entries in stored for entry in entries if entry.key == "location"}
        return [path, *(path.parent / name for name in sorted(names))]


def fit_preprocessing(path: Path, sample: Sample, preprocessing: Preprocessing) -> Preprocessing:
    """`preprocessing` for the size of a model's input, as far as the file says it.

    Raises:
      ModelError: the file cannot be read, or the model takes no images of the dataset's channels.
    """
    from pipeline.sources.onnx_files.floats import in_float32
    from pipeline.sources.onnx_files.images import image_input

    model = read(path)
    with refusing(f"{path} cannot be read", "export it again"):
        in_float32(model)
        found = image_input(model, sample, path)
    return replace(preprocessing, height=found.height or preprocessing.height, width=found.width or preprocessing.width)


def with_head(path: Path, sample: Sample, preprocessing: Preprocessing, classes: int, seed: int) -> onnx.ModelProto:
    """The forward graph of a backbone from a file, and a new head `head.weight`, `head.bias` on its output.

    Raises:
      ModelError: the file is no backbone: float32 N×C×H×W → N×F, for any N.
    """
    from onnx import compose

    own, kept = _loaded(path, sample, preprocessing)
    with refusing(f"{path} cannot be a backbone", f"export it with opset_version={OPSETS[-1]}"):
        # What stays frozen is neither differentiated nor lowered, so it may keep an opset that cannot be converted.
        with suppress(PipelineError):
            own = _converted(own, kept, path)
        # The names of the head are free behind the prefix.
        model = compose.add_prefix(_named(own, path), "backbone/")
        rename(model, f"backbone/{IMAGE}", IMAGE)
        sizes = (sample.shape[2], preprocessing.height, preprocessing.width)
        _append_head(model, _features(model, path, sizes), classes, seed)
    return model


def _append_head(model: onnx.ModelProto, features: int, classes: int, seed: int) -> None:
    """Puts an untrained dense layer behind a backbone whose output is `backbone/logits`, float32 N×features."""
    import torch
    from onnx import TensorProto, helper, numpy_helper

    from pipeline.sources.models.transfer import new_head

    graph, given = model.graph, f"backbone/{LOGITS}"
    graph.value_info.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, ["N", features]))
    torch.manual_seed(seed)
    for name, tensor in new_head(features, classes).state_dict().items():
        graph.initializer.append(numpy_helper.from_array(tensor.numpy(), f"head.{name}"))
    graph.node.append(helper.make_node("Gemm", [given, "head.weight", "head.bias"], [LOGITS], "head", transB=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N", classes]))


def refuse_quantised(model: onnx.ModelProto, name: str) -> None:
    """Refuses what has no gradient: numbers that are rounded to integers.

    Raises:
      ModelError: the model is quantised.
    """
    kinds = sorted({node.op_type for node in model.graph.node if _QUANTISED.search(node.op_type)})
    if kinds:
        raise ModelError(
            f"{name} is quantised ({', '.join(kinds)}), which does not train: give the model before quantisation, "
            "or keep this one frozen: --model transfer --backbone FILE"
        )


def _loaded(path: Path, sample: Sample, preprocessing: Preprocessing) -> tuple[onnx.ModelProto, list[str]]:
    """The model of a file in the form of `onnx_files/`, and the names of its parameters and statistics."""
    from pipeline.sources.onnx_files.batch import with_any_batch
    from pipeline.sources.onnx_files.batch_norm import name_statistics
    from pipeline.sources.onnx_files.constants import settle
    from pipeline.sources.onnx_files.floats import in_float32
    from pipeline.sources.onnx_files.images import fix_images, image_input

    model = read(path)
    keep_one_output(model, path)
    with refusing(f"{path} cannot be read", "export it again"):
        kinds = in_float32(model)
        if kinds:
            say(f"{path} holds weights in {', '.join(kinds)}: trained in float32")
        found = image_input(model, sample, path)
        if found.channels_last:
            say(f"{path} takes images as N×H×W×C: N×C×H×W is transposed in front of it")
        name_statistics(model)
        fix_images(model, found, preprocessing, sample.shape[2])
        model = with_any_batch(model, path)
        return model, settle(model, path)


def _named(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    rename(model, model.graph.input[0].name, IMAGE)
    rename(model, model.graph.output[0].name, LOGITS)
    # Shapes that the exporter noted may hold the batch size of its example.
    del model.graph.value_info[:]
    check(model, path)
    return model


def _converted(model: onnx.ModelProto, kept: list[str], path: Path) -> onnx.ModelProto:
    """The model in the first of OPSETS that it can be converted to; what is not in `kept` stays a constant."""
    from onnx import TensorProto, version_converter

    from pipeline.sources.onnx_files.batch_norm import put_aside_training, put_back_training
    from pipeline.sources.opset import in_opset_17

    if opset_of(model) in OPSETS:
        return model
    trained = put_aside_training(model)
    try:
        older = in_opset_17(model) if opset_of(model) > OPSETS[-1] else model
    except ModelError as error:
        raise ModelError(f"{path} is of {error}: export it with opset_version={OPSETS[-1]}") from error
    for opset in OPSETS:
        # The converter's own errors are of no narrower class, and name its source files.
        with suppress(Exception):
            converted = version_converter.convert_version(older, opset)
            floats = {t.name for t in converted.graph.initializer if t.data_type == TensorProto.FLOAT}
            keep_constant(converted, floats - set(kept))
            put_back_training(converted, trained)
            return converted
    raise ModelError(
        f"{path} is of opset {opset_of(model)} and cannot be converted to {' or '.join(map(str, OPSETS))}: "
        f"export it with opset_version={OPSETS[-1]}"
    )


def _features(model: onnx.ModelProto, path: Path, sizes: tuple[int, int, int]) -> int:
    """How many numbers a backbone gives for an image of these sizes, found by running it."""
    from pipeline.graphs.inference_mode import to_inference_mode
    from pipeline.graphs.running import open_graph, run

    calm = type(model).FromString(model.SerializeToString())
    to_inference_mode(calm)
    images = np.zeros((2, *sizes), np.float32)
    with refusing(f"{path} cannot run on two images of {'×'.join(map(str, sizes))}"):
        output = model.graph.output[0].name
        shape = run(open_graph(calm), [output], {IMAGE: images})[output].shape
    if len(shape) != 2 or shape[0] != len(images):
        raise ModelError(
            f"{path} gives {'×'.join(map(str, shape))} numbers for two images: a backbone has to give N×F; "
            "pool and flatten its output"
        )
    return int(shape[1])
