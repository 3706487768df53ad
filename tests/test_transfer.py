"""`invoke run --model transfer`: a frozen backbone, a new head, photographs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

from device_runtime.formats.dataset import load_dataset, read_description
from device_runtime.formats.steps import PARAMETER
from tests.emulator.device import EmulatedDevice
from tests.invoking import Invoked, invoke, losses

pytestmark = pytest.mark.slow

# Alike enough that no accuracy is 1, at which a training would stop.
CLASSES = ("coast", "mountain", "office", "opencountry")
IMAGES = 40

SMALL_BACKBONE = """
from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    )
"""


@pytest.fixture(scope="module")
def photographs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the scenes: some images of some classes."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in CLASSES:
        (folder / name).mkdir()
        for image in sorted((shared_data / "scenes" / name).iterdir())[:IMAGES]:
            shutil.copy(image, folder / name)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for build and runs."""
    return tmp_path_factory.mktemp("transfer")


def transfer(place: Path, photographs: Path, *options: str) -> Invoked:
    folders = ("--build", place / "build", "--runs", place / "runs")
    run = invoke("run", "--model", "transfer", "--data", photographs, *folders, *options)
    assert run.code == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def trained(place: Path, photographs: Path) -> Invoked:
    return transfer(place, photographs, "--cycles", "40", "--target-accuracy", "1")


def accuracies(run: Invoked) -> list[float]:
    lines = (line for line in run.stdout.splitlines() if line.startswith("accuracy on validation data"))
    return [float(line.split(" = ")[1]) for line in lines]


@pytest.mark.parametrize(
    ("options", "least"),
    # With the backbone in int8 at most a point less than the 0.845 in float32 (docs/decisions.md).
    [((), 0.82), (("--head", "features", "--learning-rate", "0.02"), 0.89), (("--frozen-dtype", "int8"), 0.835)],
    ids=["logits", "features", "int8"],
)
def test_all_scenes_reach_the_accuracy_of_a_plain_torch_loop(
    options: tuple[str, ...], least: float, shared_data: Path, place: Path
) -> None:
    untrained, trained, evaluated = accuracies(transfer(place, shared_data / "scenes", *options))
    assert untrained < 0.2
    assert trained == evaluated >= least


def test_the_head_learns(trained: Invoked) -> None:
    untrained, after, evaluated = accuracies(trained)
    assert untrained < 0.6
    assert after > 0.7
    assert evaluated == after


def test_it_prints_what_the_original_prints(trained: Invoked) -> None:
    lines = trained.stdout.splitlines()
    first = next(line for line in lines if line.startswith("1: Loss is "))
    assert f"[min={first.split()[3]}]" in first
    assert sum(line.startswith("accuracy on test data = ") for line in lines) == 2
    assert (trained.results / "transfer_trained_20.safetensors").is_file()


def test_it_stops_at_the_target_accuracy(place: Path, photographs: Path) -> None:
    run = transfer(place, photographs, "--cycles", "400", "--target-accuracy", "0.8")
    assert len(losses(run.results)) < 400


def test_a_checkpoint_holds_only_what_trains(trained: Invoked) -> None:
    names = set(load_file(trained.results / "transfer_trained_40.safetensors"))
    state = {"optimizer.momentum_buffer.head.weight", "optimizer.momentum_buffer.head.bias"}
    assert names == {"head.weight", "head.bias"} | state


def test_every_frozen_tensor_is_bit_for_bit_what_it_was(trained: Invoked, place: Path) -> None:
    def tensors(path: Path) -> dict[str, bytes]:
        initializers = onnx.load(path).graph.initializer
        return {t.name: numpy_helper.to_array(t).tobytes() for t in initializers if "head" not in t.name}

    before = tensors(place / "build" / "transfer" / "export" / "forward.onnx")
    after = tensors(trained.results / "transfer_trained.onnx")
    assert len(before) > 100
    assert all(after[name] == content for name, content in before.items())


def test_the_inference_model_gives_the_printed_accuracy_from_raw_pixels(trained: Invoked, place: Path) -> None:
    session = ort.InferenceSession(str(trained.results / "transfer_trained.onnx"), providers=["CPUExecutionProvider"])
    split = load_dataset(place / "build" / "package-x86" / "dataset").splits["validation"]
    pixels, label = split.batch(np.arange(len(split)))
    assert pixels.shape[1:] == (224, 224, 3)
    (logits,) = session.run(["logits"], {"image": pixels})
    # Six digits were printed.
    assert np.mean(np.argmax(logits, axis=1) == label) == pytest.approx(accuracies(trained)[-1], abs=1e-5)


def test_infer_gives_the_printed_accuracy_from_the_photographs_themselves(
    trained: Invoked, place: Path, photographs: Path
) -> None:
    description = read_description(place / "build" / "package-x86" / "dataset")
    files = [strip.file.removesuffix(".bmp").removeprefix("validation/") for strip in description.splits["validation"]]
    words = ("--run", trained.results, "--json", "--build", place / "build")
    said = invoke("infer", *(photographs / file for file in files), *words)
    assert said.code == 0, said.stderr
    images = json.loads(said.stdout)["images"]
    right = [image["class"] == file.split("/")[0] for image, file in zip(images, files, strict=True)]
    assert float(f"{np.mean(right):.6g}") == accuracies(trained)[-1]


def test_the_losses_without_the_cache_are_the_same(trained: Invoked, place: Path, photographs: Path) -> None:
    plain = transfer(place, photographs, "--cycles", "5", "--no-cache")
    np.testing.assert_allclose(losses(plain.results), losses(trained.results)[:5], rtol=1e-4)


def test_augmented_images_pass_the_backbone_each_time(trained: Invoked, place: Path, photographs: Path) -> None:
    plain = transfer(place, photographs, "--cycles", "2", "--augment", "flip,crop")
    np.testing.assert_allclose(losses(plain.results), losses(trained.results)[:2], rtol=0.5)
    assert losses(plain.results) != losses(trained.results)[:2]


def test_the_train_and_the_eval_graph_agree_before_training(trained: Invoked, place: Path) -> None:
    """One step at a learning rate of 0: its loss is the train step's, and the evaluation after it the eval step's."""
    package = place / "build" / "package-x86"
    model = package / "model"
    features = np.random.default_rng(0).normal(size=(8, 1000)).astype(np.float32)
    label = np.arange(8) % len(CLASSES)
    parameters = load_file(model / "transfer_untrained.safetensors")
    vector = np.concatenate([parameters["head.weight"].ravel(), parameters["head.bias"].ravel()])
    shared: dict[str, np.ndarray] = {"features": features, "label": label}
    tensors = {f"{PARAMETER}{name}": value for name, value in parameters.items()}
    rest: dict[str, np.ndarray] = {
        "parameters": vector,
        "learning_rate": np.array(0, np.float32),
        "step": np.array(1),
        "momentum_buffer": np.zeros_like(vector),
    }
    loss = _run(model / "train_step.onnx", shared | rest, "loss")
    assert loss == pytest.approx(_run(model / "eval_step.onnx", shared | tensors, "loss"), rel=1e-5)


def _run(path: Path, feeds: dict[str, np.ndarray], output: str) -> float:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return float(session.run([output], feeds)[0])


def test_a_head_on_the_pooled_features(place: Path, photographs: Path) -> None:
    run = transfer(place, photographs, "--head", "features", "--learning-rate", "0.02", "--cycles", "20")
    assert accuracies(run)[-1] > 0.8


def test_an_optimizer_of_the_users_choice(place: Path, photographs: Path) -> None:
    run = transfer(place, photographs, "--optimizer", "rmsprop,alpha=0.9", "--learning-rate", "0.001", "--cycles", "20")
    names = set(load_file(run.results / "transfer_trained_20.safetensors"))
    assert "optimizer.square_avg.head.weight" in names


def test_of_an_added_image_alone_the_features_are_computed(photographs: Path, tmp_path: Path) -> None:
    """With a backbone from an ONNX file."""
    small = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
    axes = {"x": {0: "N"}}
    example = torch.zeros(1, 3, 64, 64)
    torch.onnx.export(
        small, (example,), str(tmp_path / "small.onnx"), dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    shutil.copytree(photographs, tmp_path / "in")
    options = ("--backbone", str(tmp_path / "small.onnx"), "--cycles", "2")
    cache = tmp_path / "build" / "package-x86" / "cache"

    def rows() -> list[int]:
        # A record has a SHA-256 and 8×4×4 numbers.
        return [path.stat().st_size // (32 + 4 * 128) for path in cache.rglob("*.rows")]

    transfer(tmp_path, tmp_path / "in", *options)
    before = rows()
    image = tmp_path / "in" / "coast" / "added.png"
    Image.fromarray(np.full((300, 300, 3), 99, np.uint8)).save(image)
    transfer(tmp_path, tmp_path / "in", *options)
    assert sum(before) == len(CLASSES) * IMAGES
    assert sorted(rows()) == sorted([*before, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "lion"], "unknown optimizer 'lion'"),
        (["--optimizer", "sgd,momentum=much"], "'momentum=much' is not OPTION=NUMBER"),
        (["--loss", "hinge"], "unknown loss 'hinge'"),
        (["--label-smoothing", "some"], "--label-smoothing some: give a number"),
        (["--label-smoothing", "1"], "a label smoothing of 1: give a number from 0 to below 1"),
        (["--loss", "mean_squared_error", "--label-smoothing", "0.1"], "belongs to --loss cross_entropy"),
        (["--clip-norm", "0"], "--clip-norm 0: give a number above 0"),
        (["--clip-norm", "nan"], "--clip-norm nan: give a number above 0"),
        (["--clip-norm", "short"], "--clip-norm short: give a number above 0"),
        (["--head", "tail"], "--head tail: give one of logits, features"),
        (["--backbone", "no.py:small"], "no.py does not exist"),
        (["--backbone", "no.onnx"], "no.onnx does not exist"),
        (["--trainable", "tail.*"], "no parameter matches tail.*"),
        (["--classes", "moon"], "moon"),
    ],
)
def test_a_wrong_choice_gives_one_line(options: list[str], message: str, place: Path, photographs: Path) -> None:
    run = invoke("run", "--model", "transfer", "--data", photographs, "--build", place / "build", *options)
    assert run.code != 0
    assert message in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_without_photographs_it_says_what_to_give(tmp_path: Path) -> None:
    run = invoke("run", "--model", "transfer", "--build", tmp_path / "build", "--runs", tmp_path / "runs")
    assert run.code == 2
    last = run.stderr.splitlines()[-1]
    assert last.startswith(
        "error: --model transfer trains on photographs, the samples of mnist are 28 × 28 × 1: give --"
    )
    assert (
        "a folder of images (.jpg, .png, .bmp, .webp, .gif, .tif, .avif, .heic) for each class, or Places365's val_256/"
        in last
    )
    assert "export" not in run.stderr


@pytest.mark.emulator
def test_a_small_backbone_on_the_emulated_device(x86_device: EmulatedDevice, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL_BACKBONE)
    run = invoke(
        *("run", "--model", "transfer", "--backbone", f"{tmp_path / 'small.py'}:small"),
        *("--target", "x86", "--serial", x86_device.serial),
        *("--data", photographs, "--classes", "coast,office", "--cycles", "4"),
        *("--build", tmp_path / "build", "--runs", tmp_path / "runs"),
        env={"ANDROID_ADB_SERVER_PORT": str(x86_device.adb_server_port)},
    )
    x86_device.shell("rm -rf /data/local/tmp/*")
    assert run.code == 0, run.stderr
    assert len(losses(run.results)) == 4
    assert len(accuracies(run)) == 3
