"""The networks that are measured, each brought through the real stages into a package of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import FILE_NAME, Description, Strip, write_description
from device_runtime.formats.model import Pixels
from pipeline.bench.flops import step_flops
from pipeline.errors import UsageError
from pipeline.files import new_folder
from pipeline.prepare import Prepared, make_package, prepare, prepared_on
from pipeline.settings import Settings
from pipeline.sources.model_source import find_model

MODELS = Path(__file__).parent / "models"
CLASSES = 10
# device_runtime/bench.py looks for it under this name.
PRODUCT_FILE = "product.onnx"
PRODUCT_SIZE = 1024
PRODUCT_FLOPS = 2 * PRODUCT_SIZE**3


@dataclass(frozen=True)
class Network:
    """A network that is measured.

    Attributes:
      title: what the table says.
      model: as `--model` takes it.
      pixels: of the random images that it trains on; None: the carried sample of MNIST.
    """

    title: str
    model: str
    pixels: Pixels | None = None


NETWORKS = {
    "lenet": Network("LeNet-5", "lenet"),
    "mobilenet": Network("small MobileNet", f"{MODELS / 'mobilenet.py'}:build", Pixels(32, 32, 3)),
    "transformer": Network("small transformer", f"{MODELS / 'transformer.py'}:build", Pixels(8, 8, 1)),
}


@dataclass(frozen=True)
class Built:
    """A network's package, and the floating-point operations of one of its train steps."""

    network: Network
    prepared: Prepared
    package: Path
    step_flops: int


def choose(names: Sequence[str]) -> tuple[str, ...]:
    """The networks of `--networks`, each once; none for all.

    Raises:
      UsageError: there is no such network.
    """
    chosen = tuple(dict.fromkeys(names)) if names else tuple(NETWORKS)
    unknown = [name for name in chosen if name not in NETWORKS]
    if unknown:
        raise UsageError(f"--networks {','.join(names)}: no network {unknown[0]!r}; give some of {','.join(NETWORKS)}")
    return chosen


def build_network(name: str, of: Settings) -> Built:
    """Runs the stages up to the package in the build folder's bench/`name`, for that target, where inputs changed."""
    import onnx

    from pipeline.capture.split import split_parameters

    network = NETWORKS[name]
    settings = Settings(of.target, network.model, of.build, serial=of.serial)
    if network.pixels is None:
        prepared = prepare(settings)
    else:
        dataset = _random_dataset(network.pixels, of.build)
        prepared = prepared_on(dataset, find_model(network.model), settings)
    # onnxruntime-training is a rival here.
    prepared = replace(prepared, reference=of.kind.is_here)
    extra = {PRODUCT_FILE: _product_model()}
    package = make_package(prepared, settings, of.build / "bench" / name, extra)
    recipe, channels = prepared.recipe, prepared.pixels.channels
    image = (recipe.batch_size, channels, recipe.preprocessing.height, recipe.preprocessing.width)
    forward = onnx.load(prepared.export / "forward.onnx")
    trainable, _ = split_parameters(forward, recipe.trainable)
    return Built(network, prepared, package, step_flops(forward, trainable, image))


def _random_dataset(pixels: Pixels, build: Path) -> Path:
    """Random images in `build`/dataset-random-H×W×C: enough of each class for the runner to train and evaluate."""
    folder = build / f"dataset-random-{pixels.height}x{pixels.width}x{pixels.channels}"
    if (folder / FILE_NAME).is_file():
        return folder
    random = np.random.default_rng(0)
    counts = {"train": 32, "test": 8}
    splits: dict[str, tuple[Strip, ...]] = {}
    with new_folder(folder) as temporary:
        for split, count in counts.items():
            splits[split] = tuple(Strip(f"{split}/{label}/0.bmp", label, count) for label in range(CLASSES))
            for strip in splits[split]:
                (temporary / strip.file).parent.mkdir(parents=True)
                shape = (count, pixels.height, pixels.width, pixels.channels)
                write_bmp(temporary / strip.file, random.integers(0, 256, shape, np.uint8))
        classes = tuple(str(label) for label in range(CLASSES))
        write_description(
            temporary, Description("random", pixels.height, pixels.width, pixels.channels, classes, splits)
        )
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
