"""Brings a network that is measured through the real stages into a package of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device_runtime.formats.dataset import FILE_NAME, write_description
from device_runtime.formats.sample import Sample, drawn, one_class
from pipeline.bench.flops import step_flops
from pipeline.bench.networks import Measured
from pipeline.bench.rivals.task import Task
from pipeline.datasets.arrays.samples import Meaning, Table
from pipeline.datasets.arrays.writing import write_splits
from pipeline.errors import PipelineError
from pipeline.files import new_folder
from pipeline.graphs.files import REFERENCE, is_joint
from pipeline.prepare import Prepared, make_artifacts, make_package, prepare, prepared_on
from pipeline.settings import Settings
from pipeline.sources.model_source import find_model
from pipeline.stages import STAMP, build_once, key_of

# device_runtime/bench.py looks for it under this name.
PRODUCT_FILE = "product.onnx"
PRODUCT_SIZE = 1024
PRODUCT_FLOPS = 2 * PRODUCT_SIZE**3
# Images of the random datasets: enough for the runner to train and evaluate.
TRAINING, TEST = 320, 80


@dataclass(frozen=True)
class Built:
    """A network's package, what its rivals are to do, and the floating-point operations of one of its train steps."""

    measured: Measured
    prepared: Prepared
    package: Path
    task: Task
    step_flops: int

    @property
    def image(self) -> tuple[int, ...]:
        """Channels, height and width of what the network takes; of what is no picture its shape."""
        return self.task.shape


def build_network(measured: Measured, settings: Settings) -> Built:
    """Runs the stages up to the package in the build folder's bench/, for that target, where inputs changed."""
    import onnx

    from pipeline.capture.split import split_parameters

    own = Settings(settings.target, measured.model, settings.build, serial=settings.serial)
    if measured.pixels is None:
        prepared = prepare(own)
    else:
        dataset = _random_dataset(measured, measured.pixels, settings.build)
        prepared = prepared_on(dataset, find_model(measured.model), own)
    # The export then has the graph that onnxruntime-training differentiates, where torch can write it.
    reference = settings.kind.is_here and "onnxruntime-training" in measured.rivals
    prepared = replace(prepared, recipe=measured.recipe, reference=reference)
    folder = settings.build / "bench" / measured.name
    package = make_package(prepared, own, folder, {PRODUCT_FILE: _product_model()})
    made = (prepared.source, prepared.recipe, prepared.sample, prepared.target, prepared.seed, package)
    task = Task(*made, prepared.export)
    task = replace(task, lacks_reference=_reference_into(task.reference, prepared) if reference else "")
    task.save()
    forward = onnx.load(prepared.export / "forward.onnx")
    trainable, _ = split_parameters(forward, prepared.recipe.trainable)
    image = (prepared.recipe.batch_size, *task.shape)
    return Built(measured, prepared, package, task, step_flops(forward, trainable, image))


def _reference_into(folder: Path, prepared: Prepared) -> str:
    """Makes onnxruntime-training's artifacts, by links in `folder`; returns why there are none, or nothing.

    Packages leave them out where that engine would not train rightly: of batch normalisation it keeps no running
    statistics. Its step takes the same time.
    """
    try:
        if is_joint(prepared.export) and not (prepared.export / REFERENCE).exists():
            return (
                "torch's older exporter cannot write this model, a frozen backbone stands before what trains, or its "
                "loss is its own"
            )
        artifacts = make_artifacts(prepared)
    except PipelineError as error:
        return str(error)
    files = (*(path for path in artifacts.iterdir() if path.name != STAMP), prepared.export / "preprocess.onnx")
    build_once(folder, key_of("reference", prepared.key), lambda: _link(files, folder))
    return ""


def _link(files: Sequence[Path], folder: Path) -> None:
    with new_folder(folder) as temporary:
        for file in files:
            (temporary / file.name).symlink_to(file.resolve())


def _random_dataset(measured: Measured, sample: Sample, build: Path) -> Path:
    """Random samples of a network's classes, at least a batch."""
    counts = {"train": max(TRAINING, measured.recipe.batch_size), "test": TEST}
    each = {split: math.ceil(count / measured.classes) for split, count in counts.items()}
    size = "x".join(map(str, sample.shape))
    folder = build / f"dataset-random-{size}-{sample.dtype}-{measured.classes}x{each['train']}"
    if (folder / FILE_NAME).is_file():
        return folder
    random = np.random.default_rng(0)
    names = tuple(map(str, range(measured.classes)))
    tables = {
        split: Table(drawn(sample, count * len(names), random), np.tile(np.arange(len(names)), count))
        for split, count in each.items()
    }
    with new_folder(folder) as temporary:
        converted = write_splits(tables, Meaning(one_class(len(names)), names), "random", temporary, ())
        write_description(temporary, converted.description)
    return folder


def _product_model() -> bytes:
    """A product of two square float32 matrices as a model: what it reaches is the machine's rate."""
    from onnx import TensorProto, helper

    from pipeline.graphs.graph import IR_VERSION, OPSET

    size = [PRODUCT_SIZE, PRODUCT_SIZE]
    left, right, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in "abc")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [left, right], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
