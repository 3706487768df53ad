"""Published networks, every parameter training, through the host's stages and the engine: what torch gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import Sample, picture
from pipeline.bench.models import mobilenet_v2, mobilenet_v3_small, resnet18
from pipeline.lowering.inference import write_inference_model
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.networks import efficientnet_lite0, transformer
from tests.pipeline import stages

pytestmark = pytest.mark.slow

Image = npt.NDArray[np.uint8]
Label = npt.NDArray[np.int64]
Array = npt.NDArray[np.float32]

NETWORKS = {
    "resnet18": resnet18,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "efficientnet_lite0": efficientnet_lite0,
    "transformer": transformer,
}
# For the 1000 classes of ImageNet, as their authors and torchvision count them.
PARAMETERS = {
    "resnet18": 11_689_512,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "efficientnet_lite0": 4_652_008,
}
CLASSES, STEPS, SEED, THREADS = 10, 20, 5, 2
DISTINCT_BATCHES = 4
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Trained:
    """A network after the same updates by the lowered engine and by torch.

    Attributes:
      losses, expected_losses: of each step, by the engine and by torch.
      state: the parameters and running statistics that the engine ends with, by name.
      network: torch's.
      image, logits: pixels and the engine's logits for them.
      inference_model: the file that the pipeline makes of what the engine trained.
    """

    losses: list[float]
    expected_losses: list[float]
    state: dict[str, Array]
    network: nn.Module
    recipe: Recipe
    image: Image
    logits: Array
    inference_model: Path


@pytest.fixture(scope="module", params=NETWORKS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One network, trained by both."""
    definition = NETWORKS[request.param]
    recipe: Recipe = definition.RECIPE
    *batches, (image, label) = batches_for(recipe)
    folder = tmp_path_factory.mktemp(request.param)
    source = ModelSource(request.param, python_file=Path(str(definition.__file__)))
    built = stages.build(source, recipe, pixels_of(recipe), CLASSES, folder, SEED)
    engine = stages.open_engine(built, recipe.batch_size, THREADS)
    losses = [engine.train_step(*batch, recipe.learning_rate, number) for number, batch in enumerate(batches, start=1)]
    end = Checkpoint(STEPS, engine.parameters(), engine.buffers(), engine.states())
    write_checkpoint(folder / "end.safetensors", end, read_model(built))
    inference_model = folder / "inference.onnx"
    write_inference_model(folder / "export", built, folder / "end.safetensors", inference_model)
    network, expected_losses = train_by_torch(definition, recipe, batches)
    state = load_file(folder / "end.safetensors")
    _, logits = engine.evaluate(image, label)
    return Trained(losses, expected_losses, state, network, recipe, image, logits, inference_model)


def pixels_of(recipe: Recipe) -> Sample:
    """Images that need no resizing: colour but for a text, which is one line of bytes."""
    size = recipe.preprocessing
    return picture(size.height, size.width, 1 if size.height == 1 else 3)


def batches_for(recipe: Recipe) -> list[tuple[Image, Label]]:
    """One batch more than steps, the same few again and again, so that any network learns them: one colour in noise."""
    random = np.random.default_rng(SEED)
    pixels = pixels_of(recipe)
    shape = (recipe.batch_size, pixels.shape[0], pixels.shape[1], pixels.shape[2])
    colours = random.integers(0, 256, (CLASSES, 1, 1, pixels.shape[2]), np.uint8)
    batches: list[tuple[Image, Label]] = []
    for _ in range(DISTINCT_BATCHES):
        label = random.integers(0, CLASSES, recipe.batch_size)
        noise = random.integers(0, 256, shape, np.uint8)
        batches.append((np.where(random.random(shape) < 0.5, noise, colours[label]), label))
    return [batches[number % DISTINCT_BATCHES] for number in range(STEPS + 1)]


def train_by_torch(
    definition: ModuleType, recipe: Recipe, batches: Sequence[tuple[Image, Label]]
) -> tuple[nn.Module, list[float]]:
    """The network from the same initial weights, after the same updates, and its losses."""
    torch.manual_seed(SEED)
    network: nn.Module = definition.build(CLASSES)
    optimizer = torch.optim.SGD(network.parameters(), lr=recipe.learning_rate)
    losses: list[float] = []
    for image, label in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(prepare(image, recipe.preprocessing)), torch.from_numpy(label))
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return network, losses


def prepare(image: Image, preprocessing: Preprocessing) -> Tensor:
    """Raw pixels N×H×W×C as the network's input, float32 N×C×H×W."""
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    normal = (torch.from_numpy(image).float() * preprocessing.scale - mean) / std
    return normal.permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_has_the_size_of_the_published_one(name: str) -> None:
    network = NETWORKS[name].build(1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_twenty_losses_equal_torchs(trained: Trained) -> None:
    np.testing.assert_allclose(trained.losses, trained.expected_losses, rtol=TOLERANCE)
    # A step that changes nothing would agree too; each round over the batches has to be better by more than that.
    first, *_, last = np.reshape(trained.losses, (-1, DISTINCT_BATCHES)).mean(axis=1)
    assert last < first * (1 - 10 * TOLERANCE)


def test_the_running_statistics_equal_torchs(trained: Trained) -> None:
    expected = {name: buffer.numpy() for name, buffer in trained.network.named_buffers()}
    means = [name for name in expected if name.endswith("running_mean")]
    for name in means:
        variance_name = name.replace("running_mean", "running_var")
        mean, variance = trained.state[name], trained.state[variance_name]
        # A mean that is 0 but for rounding matters as much as the deviation that divides it.
        deviation = np.sqrt(expected[variance_name].max())
        np.testing.assert_allclose(mean, expected[name], rtol=0, atol=TOLERANCE * deviation, err_msg=name)
        np.testing.assert_allclose(variance, expected[variance_name], rtol=0, atol=TOLERANCE * deviation**2)


def test_in_inference_mode_the_eval_step_and_the_inference_model_give_torchs_logits(trained: Trained) -> None:
    network = trained.network.eval()
    # What the engine trained, so that the forward pass alone is compared.
    network.load_state_dict({name: torch.from_numpy(value) for name, value in trained.state.items()}, strict=False)
    with torch.no_grad():
        expected = network(prepare(trained.image, trained.recipe.preprocessing)).numpy()
    session = ort.InferenceSession(str(trained.inference_model), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": trained.image})
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * scale)
    np.testing.assert_allclose(trained.logits, expected, rtol=0, atol=1e-4 * scale)
