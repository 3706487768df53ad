"""A model and a dataset small enough to be trained in milliseconds, without exporting or lowering anything.

Softmax regression on 4×4 grey images of three classes, with Adam, as ONNX graphs written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.checkpoint import Checkpoint, untrained_name, write_checkpoint
from device_runtime.formats.dataset import Strip, pictures, write_description
from device_runtime.formats.model import Model, OptimizerRecord, RecipeRecord, layout, write_model
from device_runtime.formats.options import parse
from device_runtime.formats.sample import one_class, picture
from device_runtime.formats.steps import GRADIENT, PARAMETER, PROXIMAL, START
from device_runtime.runner import run

# Element type and shape by name.
Values = Mapping[str, tuple[int, list[str | int]]]

CLASSES, PIXELS = 3, 16
SIZE = CLASSES * PIXELS + CLASSES
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

TINY = Model(
    name="tiny",
    input=picture(4, 4, 1),
    target=one_class(CLASSES),
    parameters=layout([("dense.weight", (CLASSES, PIXELS)), ("dense.bias", (CLASSES,))]),
    buffers=(),
    optimizer=OptimizerRecord("adam", {"beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}, ("exp_avg", "exp_avg_sq")),
    features=None,
    recipe=RecipeRecord(8, 20, 0.01, 10, 0, None),
    loss="cross_entropy",
    clip_norm=None,
    proximal=False,
)

_FORWARD = """
    pixels = Cast<to = 1>(image)
    shaded = Mul(pixels, shade)
    flat = Flatten<axis = 1>(shaded)
    logits = Gemm<transB = 1>(flat, weight, bias)
    loss = SoftmaxCrossEntropyLoss(logits, label)
"""
_BACKWARD = """
    probabilities = Softmax<axis = -1>(logits)
    column = Unsqueeze(label, one)
    hit = Equal(column, classes)
    wanted = Cast<to = 1>(hit)
    error = Sub(probabilities, wanted)
    shape = Shape<end = 1>(label)
    count = Cast<to = 1>(shape)
    share = Div(error, count)
    weight_gradient = Gemm<transA = 1>(share, flat)
    bias_gradient = ReduceSum<keepdims = 0>(share, zero)
"""
_PROXIMAL = """
    {name}_apart = Sub({name}, {name}_start)
    {name}_term = Mul(proximal_mu, {name}_apart)
    {name}_gradient = Add({name}_of_loss, {name}_term)
"""
_UPDATE = """
    scaled = Mul(gradient, scale)
    old_mean = Mul(exp_avg, beta1)
    new_mean = Mul(scaled, rest1)
    exp_avg_out = Add(old_mean, new_mean)
    squared = Mul(scaled, scaled)
    old_square = Mul(exp_avg_sq, beta2)
    new_square = Mul(squared, rest2)
    exp_avg_sq_out = Add(old_square, new_square)
    number = Cast<to = 1>(step)
    decay1 = Pow(beta1, number)
    decay2 = Pow(beta2, number)
    bias1 = Sub(unit, decay1)
    bias2 = Sub(unit, decay2)
    mean = Div(exp_avg_out, bias1)
    square = Div(exp_avg_sq_out, bias2)
    root = Sqrt(square)
    safe = Add(root, epsilon)
    direction = Div(mean, safe)
    change = Mul(direction, learning_rate)
    parameters_out = Sub(parameters, change)
"""
_CONSTANTS = {
    "shade": np.float32(1 / 255),
    "zero": np.array([0]),
    "one": np.array([1]),
    "classes": np.arange(CLASSES)[None],
    "beta1": np.float32(BETA1),
    "rest1": np.float32(1 - BETA1),
    "beta2": np.float32(BETA2),
    "rest2": np.float32(1 - BETA2),
    "unit": np.float32(1),
    "epsilon": np.float32(EPSILON),
}
_IMAGES: Values = {"image": (TensorProto.UINT8, ["N", 4, 4, 1]), "label": (TensorProto.INT64, ["N"])}
_STEP: Values = {"step": (TensorProto.INT64, [])}
_SCALARS: Values = {**_STEP, **{name: (TensorProto.FLOAT, []) for name in ("learning_rate", "scale")}}
_TENSORS: Values = {"weight": (TensorProto.FLOAT, [CLASSES, PIXELS]), "bias": (TensorProto.FLOAT, [CLASSES])}
_PARAMETERS: Values = {f"{PARAMETER}dense.{name}": kind for name, kind in _TENSORS.items()}
# The text form of a graph has no names with a slash or a dot.
_NAMES = {name: f"{PARAMETER}dense.{name}" for name in _TENSORS}
_NAMES |= {f"{name}_gradient": f"{GRADIENT}dense.{name}" for name in _TENSORS}
_NAMES |= {f"{name}_start": f"{START}dense.{name}" for name in _TENSORS}
_STARTS: Values = {_NAMES[f"{name}_start"]: kind for name, kind in _TENSORS.items()}
_LOSS: Values = {"loss": (TensorProto.FLOAT, [])}


@dataclass(frozen=True)
class Finished:
    """What a run printed and left."""

    lines: list[str]
    output: Path

    def records(self, event: str, name: str = "metrics.jsonl") -> list[dict[str, float]]:
        """The records of an event in their order."""
        return [r for r in map(json.loads, (self.output / name).read_text().splitlines()) if r["event"] == event]


def write_package(folder: Path, model: Model = TINY) -> Path:
    """Writes `model/` and `dataset/` as a package has them; returns the folder."""
    (folder / "model").mkdir(parents=True)
    write_model(folder / "model", model)
    weights = np.random.default_rng(3).normal(0, 0.01, SIZE).astype(np.float32)
    start = Checkpoint(0, weights, np.empty(0, np.float32), {})
    write_checkpoint(folder / "model" / untrained_name(model), start, model)
    for name, graph in (("gradient", gradient_step(model.proximal)), ("update", update_step()), ("eval", eval_step())):
        (folder / "model" / f"{name}_step.onnx").write_bytes(graph)
    write_images(folder / "dataset", {"train": 30, "test": 11})
    return folder


def write_images(folder: Path, counts: dict[str, int], side: int = 4) -> None:
    """Writes `count` images of each class for each split: noise that is brighter in the rows of its class."""
    random = np.random.default_rng(4)
    splits: dict[str, tuple[Strip, ...]] = {}
    for split, count in counts.items():
        strips = [Strip(f"{split}-{label}.bmp", label, count) for label in range(CLASSES)]
        folder.mkdir(parents=True, exist_ok=True)
        for strip in strips:
            images = random.integers(0, 150, (count, side, side, 1), np.uint8)
            images[:, strip.label] += 60
            write_bmp(folder / strip.file, images)
        splits[split] = tuple(strips)
    write_description(folder, pictures("bands", side, side, 1, ("a", "b", "c"), splits))


def gradient_step(proximal: bool = False) -> bytes:
    """The gradient step, standard operators of opset 17; with FedProx's term where it is asked for."""
    outputs: Values = {**_LOSS, **{f"{GRADIENT}dense.{name}": kind for name, kind in _TENSORS.items()}}
    inputs: Values = {**_IMAGES, **_STEP, **_PARAMETERS}
    if not proximal:
        return _graph(_FORWARD + _BACKWARD, inputs, outputs)
    body = _FORWARD + _BACKWARD.replace("_gradient", "_of_loss") + "".join(_PROXIMAL.format(name=n) for n in _TENSORS)
    return _graph(body, {**inputs, **_STARTS, PROXIMAL: (TensorProto.FLOAT, [])}, outputs)


def update_step() -> bytes:
    """The update step."""
    vectors: Values = {name: (TensorProto.FLOAT, ["P"]) for name in ("parameters", "exp_avg", "exp_avg_sq")}
    inputs: Values = {**_SCALARS, "gradient": (TensorProto.FLOAT, ["P"]), **vectors}
    return _graph(_UPDATE, inputs, {f"{name}_out": kind for name, kind in vectors.items()})


def eval_step() -> bytes:
    """The evaluation."""
    return _graph(_FORWARD, {**_IMAGES, **_PARAMETERS}, {**_LOSS, "logits": (TensorProto.FLOAT, ["N", CLASSES])})


def execute(package: Path, output: Path, *words: str | Path) -> list[str]:
    """Runs the runner on a package in this process; returns the file names in `output`."""
    model = () if "-f" in words else ("-f", package / "model")
    data = () if "-d" in words else ("-d", package / "dataset")
    arguments = [*model, *data, "--output", output, *words]
    run(parse([str(word) for word in arguments], package), package)
    return sorted(path.name for path in output.iterdir())


def _graph(body: str, inputs: Values, outputs: Values) -> bytes:
    parsed = onnx.parser.parse_graph(f"tiny () => () {{ {body} }}")
    for node in parsed.node:
        node.name = f"node_{node.output[0]}"
        node.input[:], node.output[:] = (
            [_NAMES.get(name, name) for name in ends] for ends in (node.input, node.output)
        )
    used = {name for node in parsed.node for name in node.input}
    graph = helper.make_graph(
        parsed.node,
        "tiny",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _CONSTANTS.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content
