"""Dropout: the right share, independent masks, the same ones again for the same step, and none in evaluation."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.graphs.graph import Graph
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.training_graph import lower
from tests.pipeline.lowering.harness import RECIPE, Array, by_lowering, export_module

STEPS, ELEMENTS = 200, 20_000
# Standard deviations that a fair draw passes once in a million times. The draws are fixed: no test fails now and then.
DEVIATIONS = 5.0

Kept = npt.NDArray[np.bool_]


class Dropout:
    """Dropout and its gradient, lowered: x and dy float32 N → y and dx, for a step."""

    def __init__(self, ratio: float, name: str = "dropout", trains: bool = True) -> None:
        nodes = [
            helper.make_node("Dropout", ["x", "ratio", "trains"], ["y", "kept"], name=name),
            helper.make_node("DropoutGrad", ["dy", "kept", "ratio", "trains"], ["dx"], domain="com.microsoft"),
        ]
        vectors = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N"]) for n in ("x", "dy", "y", "dx")}
        constants = [
            numpy_helper.from_array(np.array(ratio, np.float32), "ratio"),
            numpy_helper.from_array(np.array(trains), "trains"),
        ]
        wanted = ("y", "dx") if trains else ("y",)
        graph = helper.make_graph(
            nodes[: len(wanted)], "training", [vectors["x"], vectors["dy"]], [vectors[n] for n in wanted], constants
        )
        g = Graph()
        give_step(g, g.name(STEP))
        values = lower(helper.make_model(graph), g, {name: g.name(name) for name in ("x", "dy")}, {})
        outputs = {f"out:{n}": values[n] for n in wanted}
        g.publish(outputs)
        step = helper.make_tensor_value_info(STEP, TensorProto.INT64, [])
        model = g.model(
            "dropout",
            [vectors["x"], vectors["dy"], step],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in outputs],
        )
        self._session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(self, x: Array, dy: Array, step: int) -> list[Array]:
        """Values and gradients, or values alone."""
        results: list[Array] = self._session.run(None, {"x": x, "dy": dy, STEP: np.array(step)})
        return results

    def kept(self, step: int, size: int = ELEMENTS) -> Kept:
        """Which elements are kept."""
        ones = np.ones(size, np.float32)
        return np.asarray(self.run(ones, ones, step)[0] != 0)


def deviations(samples: npt.NDArray[np.float64], expected: float, variance: float) -> float:
    """How many standard deviations the mean of the samples is from what is expected."""
    return float(abs(samples.mean() - expected) / np.sqrt(variance / samples.size))


@pytest.fixture(scope="module", params=[0.1, 0.5, 0.8])
def masks(request: pytest.FixtureRequest) -> tuple[float, Kept]:
    """The ratio, and steps × elements."""
    dropout = Dropout(request.param)
    return request.param, np.array([dropout.kept(step) for step in range(1, STEPS + 1)])


def test_values_and_gradients_are_kept_alike_and_scaled() -> None:
    random = np.random.default_rng(0)
    x, dy = (random.normal(size=1000).astype(np.float32) for _ in range(2))
    dropout = Dropout(0.25)
    y, dx = dropout.run(x, dy, 7)
    kept = dropout.kept(7, 1000)
    np.testing.assert_allclose(y, np.where(kept, x / 0.75, 0), rtol=1e-6)
    np.testing.assert_allclose(dx, np.where(kept, dy / 0.75, 0), rtol=1e-6)


def test_each_step_keeps_its_share(masks: tuple[float, Kept]) -> None:
    ratio, kept = masks
    share, variance = 1 - ratio, ratio * (1 - ratio)
    assert max(deviations(step.astype(float), share, variance) for step in kept) < DEVIATIONS
    assert max(deviations(element.astype(float), share, variance) for element in kept.T) < DEVIATIONS
    assert deviations(kept.astype(float), share, variance) < DEVIATIONS


def test_shares_vary_as_those_of_independent_draws(masks: tuple[float, Kept]) -> None:
    ratio, kept = masks
    # Counts of 50 elements: their variance is that of a binomial distribution, to the accuracy of so many counts.
    counts = kept.reshape(-1, 50).sum(1)
    accuracy = np.sqrt(2 / counts.size)
    assert abs(counts.var() / (50 * ratio * (1 - ratio)) - 1) < DEVIATIONS * accuracy


@pytest.mark.parametrize("distance", [1, 2, 3, 7, 8, 32, 100, 1024, 4096])
def test_elements_are_independent(masks: tuple[float, Kept], distance: int) -> None:
    ratio, kept = masks
    assert correlation(kept[:, :-distance], kept[:, distance:], ratio) < DEVIATIONS


@pytest.mark.parametrize("distance", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("shift", [0, 1, 2, 1000])
def test_steps_are_independent(masks: tuple[float, Kept], distance: int, shift: int) -> None:
    ratio, kept = masks
    assert correlation(kept[:-distance, : ELEMENTS - shift], kept[distance:, shift:], ratio) < DEVIATIONS


def test_layers_are_independent() -> None:
    one, other = (
        np.array([Dropout(0.5, name).kept(step) for step in range(5)]) for name in ("/1/Dropout", "/2/Dropout")
    )
    assert correlation(one, other, 0.5) < DEVIATIONS


def correlation(one: Kept, other: Kept, ratio: float) -> float:
    """Of two masks, in standard deviations of that of independent ones."""
    centred = (one - (1 - ratio)) * (other - (1 - ratio))
    return deviations(centred, 0.0, (ratio * (1 - ratio)) ** 2)


def test_a_step_draws_the_same_again_and_a_smaller_batch_its_beginning() -> None:
    first, again = Dropout(0.5), Dropout(0.5)
    np.testing.assert_array_equal(first.kept(3), again.kept(3))
    np.testing.assert_array_equal(first.kept(3, 100), first.kept(3)[:100])
    assert (first.kept(3) != first.kept(4)).any()


def test_large_step_numbers_draw_too() -> None:
    share = Dropout(0.5).kept(2**40)
    assert deviations(share.astype(float), 0.5, 0.25) < DEVIATIONS


def test_nothing_and_everything_can_be_dropped() -> None:
    assert Dropout(0.0).kept(1).all()
    assert not Dropout(1.0).kept(1).any()


def test_a_layer_that_does_not_train_is_the_identity() -> None:
    assert Dropout(0.5, trains=False).kept(1).all()


class Dropping(nn.Module):
    """A network with dropout between its layers, and in its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(6, 6)
        self.encoder = nn.TransformerEncoderLayer(6, 2, 8, 0.2, batch_first=True)
        self.after = nn.Linear(24, 4)
        self.dropout = nn.Dropout(0.3)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.after(self.dropout(self.encoder(torch.tanh(self.before(image)))).flatten(1))
        return logits


def test_the_gradient_is_the_slope_of_the_loss_with_that_mask(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Dropping()
    image = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
    label = np.arange(3)
    gradients = by_lowering(module, image, label, _folder(tmp_path, "middle")).by_name
    direction = {name: torch.from_numpy(g / np.linalg.norm(g)) for name, g in gradients.items()}
    losses = []
    for distance in (-1e-2, 1e-2):
        moved = copy.deepcopy(module)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter.add_(distance * direction[name])
        losses.append(by_lowering(moved, image, label, _folder(tmp_path, str(distance))).loss)
    slope = sum(float(np.linalg.norm(gradient)) for gradient in gradients.values())
    np.testing.assert_allclose((losses[1] - losses[0]) / 2e-2, slope, rtol=5e-3)


def test_evaluation_drops_nothing(tmp_path: Path) -> None:
    export = _folder(tmp_path, "export")
    export_module(Dropping(), torch.zeros(2, 4, 6), export)
    build_artifacts(export, RECIPE, 4, tmp_path / "artifacts")
    evaluation = onnx.load(tmp_path / "artifacts" / "eval_model.onnx")
    assert [node for node in evaluation.graph.node if node.op_type == "Dropout"]
    g = Graph()
    lower(evaluation, g, {info.name: g.name(info.name) for info in evaluation.graph.input}, {})
    # A mask would ask for a step, which nobody gave, too.
    assert not {"Dropout", "Range"} & {node.op_type for node in g.nodes}


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
