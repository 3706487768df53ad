"""Rewritten operators have torch's values and gradients, at kinks, ties and extreme values too."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional

from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import by_name, read_model
from device_runtime.formats.sample import picture
from device_runtime.formats.steps import PARAMETER
from pipeline.capture.onnx.rewrite import REWRITES, rewrite
from pipeline.capture.split import split_parameters
from pipeline.errors import LoweringError
from pipeline.lowering.inference import write_inference_model
from pipeline.sources.model_source import recipe_of
from tests.invoking import ROOT
from tests.pipeline import stages
from tests.pipeline.lowering.harness import Array, Gradients, assert_same, by_lowering, by_torch

Function = Callable[..., Tensor]

CLASSES = 5
# Both sides of each kink, what torch's kernels treat apart (softplus at 20), and what overflows when exponentiated.
KINKS = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 0.5, 20.0, 21.0, -20.0, 88.0, 89.0, -88.0, 104.0, -104.0, 1e4, -1e4),
        *(np.nextafter(np.float32(kink), np.float32(to)) for kink in (0, 1, 3, -3) for to in (-9, 9)),
        *(1e-20, -1e-20, 1e15, -1e15, 1e30, -1e30),
    ],
    np.float32,
)

few = settings(derandomize=True, deadline=None, database=None, max_examples=12, suppress_health_check=[*HealthCheck])


def exported_as(op_type: str, function: Function, **attributes: Any) -> Function:
    """`function`, with its own gradient in torch, exported as an operator that torch's exporter does not write."""

    class Operator(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            with torch.enable_grad():
                x = ctx.saved_tensors[0].detach().requires_grad_()
                dx: Tensor = torch.autograd.grad(function(x), x, gradients)[0]
                return dx

        @staticmethod
        def symbolic(graph: Any, x: Any) -> Any:
            return graph.op(op_type, x, **attributes)

    return lambda x: Operator.apply(x)  # type: ignore[no-untyped-call]


ELEMENTWISE: dict[str, Function] = {
    "hard sigmoid": functional.hardsigmoid,
    "hard swish": functional.hardswish,
    "elu": functional.elu,
    "elu, alpha": lambda x: functional.elu(x, 0.5),
    "celu": lambda x: functional.celu(x, 0.5),
    "selu": functional.selu,
    "softplus": functional.softplus,
    "softplus, beta": lambda x: functional.softplus(x, 2.0),
    "mish": functional.mish,
    "softsign": exported_as("Softsign", functional.softsign),
    "thresholded relu": exported_as("ThresholdedRelu", lambda x: functional.threshold(x, 1.0, 0.0), alpha_f=1.0),
}


class AtKinks(nn.Module):
    """A function of parameters that are exactly `KINKS`; the image is 0. Each value is one logit."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.from_numpy(KINKS.copy()))
        self.function = function

    def forward(self, image: Tensor) -> Tensor:
        return self.function(self.values + image)


class Between(nn.Module):
    """A function between two layers with parameters, of an image of any rank."""

    def __init__(self, function: Function, shape: Sequence[int]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(*shape[1:]) + 0.5)
        self.function = function
        self.after = nn.Linear(function(torch.rand(*shape)).flatten(1).shape[1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.after(self.function(self.scale * image).flatten(1))
        return logits


class Excitation(nn.Module):
    """Channels weighted by a hard sigmoid, as in MobileNetV3."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = functional.relu(self.squeeze(functional.adaptive_avg_pool2d(x, 1)))
        return functional.hardswish(x * functional.hardsigmoid(self.excite(squeezed)))


def gradients(module: nn.Module, image: Array) -> tuple[Gradients, Gradients]:
    """Of the lowered graph, and torch's."""
    label = np.arange(len(image), dtype=np.int64) % CLASSES
    with tempfile.TemporaryDirectory() as folder:
        return by_lowering(module, image, label, Path(folder)), by_torch(module, image, label)


def check(function: Function, *shape: int, tolerance: float = 1e-5, ties: bool = False) -> None:
    torch.manual_seed(5)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    module = Between(function, shape)
    if ties:
        image = np.round(image)
        module.scale.data.fill_(1.0)
    assert_same(*gradients(module, image), tolerance)


def onnx_of(module: nn.Module, image: Array) -> onnx.ModelProto:
    file: Any = io.BytesIO()
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    names: Any = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    torch.onnx.export(module, (torch.from_numpy(image),), file, dynamo=False, opset_version=15, **names)
    return onnx.load_from_string(file.getvalue())


def run(model: onnx.ModelProto, image: Array) -> Array:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_slopes_at_kinks_and_extremes(name: str) -> None:
    module, image = AtKinks(ELEMENTWISE[name]), np.zeros((len(KINKS), len(KINKS)), np.float32)
    forward = onnx_of(module, image)
    rewritten = rewrite(forward)
    assert {node.op_type for node in forward.graph.node} & REWRITES.keys()
    assert not {node.op_type for node in rewritten.graph.node} & REWRITES.keys()
    expected = module(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(run(rewritten, image), expected, rtol=1e-6, atol=5e-7)
    label = np.arange(len(KINKS), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        lowered = by_lowering(module, image, label, Path(folder))
    slopes = by_torch(module, image, label).by_name["values"]
    np.testing.assert_allclose(lowered.by_name["values"], slopes, rtol=1e-5, atol=1e-8)


@few
@given(
    name=st.sampled_from(sorted(ELEMENTWISE)),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    batch=st.integers(1, 4),
)
def test_activations_of_any_shape(name: str, sizes: list[int], batch: int) -> None:
    check(ELEMENTWISE[name], batch, *sizes)


def test_squeeze_and_excitation() -> None:
    check(Excitation(), 3, 4, 5, 6)


@few
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), batch=st.integers(1, 4), shared=st.booleans())
def test_prelus_slope_is_trained(sizes: list[int], batch: int, shared: bool) -> None:
    check(nn.PReLU(1 if shared else sizes[0]), batch, *sizes)


def test_prelus_slope_at_0_and_extremes() -> None:
    module = AtKinks(nn.PReLU(len(KINKS)))
    lowered, expected = gradients(module, np.zeros((2, len(KINKS)), np.float32))
    assert set(lowered.by_name) == {"values", "function.weight"}
    for name, gradient in expected.by_name.items():
        np.testing.assert_allclose(lowered.by_name[name], gradient, rtol=1e-5, atol=1e-8, err_msg=name)


@few
@given(
    groups=st.integers(1, 3),
    size=st.integers(1, 3),
    spatial=st.lists(st.integers(1, 5), max_size=3),
    batch=st.integers(1, 3),
    affine=st.booleans(),
)
def test_group_normalisation(groups: int, size: int, spatial: list[int], batch: int, affine: bool) -> None:
    # At least 2 × 3 elements in a group: the gradient of a pair's normal values is 0 but for rounding.
    check(nn.GroupNorm(groups, 2 * size * groups, affine=affine), batch, 2 * size * groups, 3, *spatial)


def test_layers_behind_group_normalisation() -> None:
    check(nn.Sequential(nn.GroupNorm(2, 4), nn.Hardswish(), nn.Conv2d(4, 3, 3)), 2, 4, 6, 6)


@few
@given(
    channels=st.integers(1, 4),
    spatial=st.lists(st.integers(3, 6), min_size=1, max_size=3),
    batch=st.integers(1, 3),
    affine=st.booleans(),
)
def test_instance_normalisation(channels: int, spatial: list[int], batch: int, affine: bool) -> None:
    norm = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[len(spatial) - 1]
    check(norm(channels, affine=affine), batch, channels, *spatial)


def test_batch_normalisation_in_inference_mode_stays_in_it(tmp_path: Path) -> None:
    class Frozen(nn.Module):
        """Its statistics stay, its weights train, as of a backbone that is tuned."""

        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Conv2d(2, 3, 1)
            self.norm = nn.BatchNorm2d(3)
            self.after = nn.Linear(3 * 4 * 5, CLASSES)
            nn.init.uniform_(self.norm.weight, 0.5, 2)
            nn.init.uniform_(self.norm.running_mean, -2, 2)  # type: ignore[arg-type]
            nn.init.uniform_(self.norm.running_var, 0.5, 2)  # type: ignore[arg-type]

        def train(self, mode: bool = True) -> Frozen:
            super().train(mode)
            self.norm.eval()
            return self

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.after(self.norm(self.before(image)).flatten(1))
            return logits

    image = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)
    label = np.arange(3, dtype=np.int64)
    module = Frozen().train()
    assert_same(by_lowering(module, image, label, tmp_path), by_torch(module, image, label))


def test_instance_normalisation_far_from_0_and_of_a_constant() -> None:
    norm = nn.InstanceNorm2d(2)
    check(lambda x: norm(x + 300), 2, 2, 5, 5, tolerance=1e-3)
    # A power of 2 and 16 pixels: torch, which subtracts the scaled mean from the scaled pixel, has no rounding either.
    check(lambda x: norm(x * 0 + 8), 2, 2, 4, 4)


@few
@given(spatial=st.lists(st.integers(1, 6), min_size=1, max_size=3), channels=st.integers(1, 3), ties=st.booleans())
def test_global_max_pooling_gives_the_gradient_to_the_first_maximum(
    spatial: list[int], channels: int, ties: bool
) -> None:
    pool: Any = (functional.adaptive_max_pool1d, functional.adaptive_max_pool2d, functional.adaptive_max_pool3d)
    function = exported_as("GlobalMaxPool", lambda x: pool[len(spatial) - 1](x, 1))
    check(function, 3, channels, *spatial, ties=ties)


@few
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    axis=st.integers(1, 2),
    both=st.booleans(),
    keep=st.booleans(),
    maximum=st.booleans(),
    ties=st.booleans(),
)
def test_tied_extrema_share_the_gradient(
    shape: list[int], axis: int, both: bool, keep: bool, maximum: bool, ties: bool
) -> None:
    reduce = torch.amax if maximum else torch.amin
    check(lambda x: reduce(x, (1, 2) if both else (axis,), keep), 3, *shape, ties=ties)


@pytest.mark.parametrize("reduce", [torch.max, torch.min])
def test_the_extremum_of_everything(reduce: Callable[[Tensor], Tensor]) -> None:
    check(lambda x: x * reduce(x), 3, 4, 2, ties=True)


def test_the_maximum_along_an_axis() -> None:
    check(lambda x: torch.max(x, 1).values * torch.min(x, 1).values, 3, 4, 5)


def test_extrema_near_overflow() -> None:
    lowered, expected = gradients(
        AtKinks(lambda x: (x * 0 + 1e38).amax(1, keepdim=True) * 1e-38 + x), np.zeros((2, len(KINKS)), np.float32)
    )
    np.testing.assert_allclose(lowered.loss, expected.loss, rtol=1e-5)
    np.testing.assert_allclose(lowered.by_name["values"], expected.by_name["values"], rtol=1e-5, atol=1e-8)


class WithWeight(nn.Module):
    """Einsum of the features and a weight."""

    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation = equation
        self.weight = nn.Parameter(torch.rand(*shape))

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = torch.einsum(self.equation, x, self.weight)
        return product


EINSUMS: dict[str, Function] = {
    "attention's scores": lambda x: torch.einsum("nthd,nshd->nhts", x, x + 1),
    "attention's values": lambda x: torch.einsum("nhts,nshd->nthd", torch.einsum("nthd,nshd->nhts", x, x), x),
    "a dense layer": WithWeight("nthd,de->nthe", 5, 3),
    "a dense layer over two axes": WithWeight("nthd,hde->nte", 2, 5, 3),
    "no common label": lambda x: torch.einsum("nt,nd->ntd", x.sum((2, 3)), x.mean((1, 2))),
    "a dot product": lambda x: torch.einsum("nthd,nthd->n", x, x + 1).unsqueeze(1),
    "scaled channels": lambda x: torch.einsum("nthd,nt->nthd", x, x.mean((2, 3))),
    "one operand": lambda x: torch.einsum("nthd->ndt", x),
    "three operands": lambda x: torch.einsum("nthd,nh,nd->nt", x, x.mean((1, 3)), x.mean((1, 2))),
    "an ellipsis": lambda x: torch.einsum("...hd,...ed->...he", x, x + 1),
    "an ellipsis in one operand": WithWeight("n...d,de->n...e", 5, 3),
    "a broadcast ellipsis": WithWeight("...hd,...de->...eh", 4, 5, 3),
    "no arrow": WithWeight("abcd, dz", 5, 3),
    "nothing to do": lambda x: torch.einsum("nthd->nthd", x),
}


@pytest.mark.parametrize("name", EINSUMS)
def test_einsum(name: str) -> None:
    check(EINSUMS[name], 3, 4, 2, 5)


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[int]]:
    """Two operands, each of the batch and some of the labels a to d in any order, and a result of some of them."""
    sizes = {label: draw(st.integers(1, 3)) for label in "abcd"}
    picks = [draw(st.permutations("abcd"))[: draw(st.integers(1, 4))] for _ in range(2)]
    both = sorted(set(picks[0]) | set(picks[1]))
    result = draw(st.permutations(both))[: draw(st.integers(1, len(both)))]
    terms = ["n" + "".join(labels) for labels in (*picks, result)]
    return f"{terms[0]},{terms[1]}->{terms[2]}", [sizes[label] for label in "abcd"]


@few
@given(case=equations())
def test_einsum_of_any_two_operands(case: tuple[str, list[int]]) -> None:
    equation, sizes = case
    first, second = equation.partition("->")[0].split(",")
    check(lambda x: torch.einsum(equation, _view(x, first), _view(x, second)), 3, *sizes)


def _view(x: Tensor, labels: str) -> Tensor:
    """The axes n, a, b, c, d of `x` in the order of `labels`, summed over those not among them."""
    kept = [label for label in "nabcd" if label in labels]
    absent = [axis for axis, label in enumerate("nabcd") if label not in labels]
    return (x.sum(absent) if absent else x).permute([kept.index(label) for label in labels])


def test_a_diagonal_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"Einsum \(node '/Einsum'\) takes a diagonal"):
        check(lambda x: torch.einsum("nii->ni", x), 2, 3, 3)


def test_global_max_pooling_of_an_unknown_size_is_refused() -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 2, "H", 4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, 1, 1])
    graph = helper.make_graph(
        [helper.make_node("GlobalMaxPool", ["image"], ["logits"], "pool")], "g", [image], [logits]
    )
    with pytest.raises(LoweringError, match=r"GlobalMaxPool \(node 'pool'\) has no gradient for an image of unknown"):
        rewrite(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)]))


def test_integers_are_left_alone() -> None:
    forward = onnx_of(Between(lambda x: x * x.shape[0] * x.long().amax(), (2, 3)), np.zeros((2, 3), np.float32))
    assert "ReduceMax" in {node.op_type for node in forward.graph.node}
    assert rewrite(forward).graph.node == forward.graph.node


def test_parameters_and_values_keep_their_names() -> None:
    function = nn.Sequential(nn.Hardswish(), nn.PReLU(3), nn.GroupNorm(3, 3), nn.InstanceNorm1d(3, affine=True))
    forward = onnx_of(Between(function, (2, 3, 4)).train(), np.zeros((2, 3, 4), np.float32))
    rewritten = rewrite(forward)
    assert {*split_parameters(forward, ("*",))[0]} <= {tensor.name for tensor in rewritten.graph.initializer}
    values = {name for node in rewritten.graph.node for name in node.output}
    assert values >= {name for node in forward.graph.node for name in node.output}
    onnx.checker.check_model(rewritten, full_check=True)


MODEL = """
from torch import nn


def network():
    layers = [nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Hardswish(), nn.Conv2d(4, 4, 3), nn.PReLU(4)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 5))
"""


def test_the_trained_model_keeps_its_operators(tmp_path: Path) -> None:
    source, pixels = stages.module_of(MODEL, tmp_path), picture(8, 8, 1)
    folder = stages.build(source, recipe_of(source, pixels), pixels, CLASSES, tmp_path)
    model = read_model(folder)
    assert "4.weight" in [parameter.name for parameter in model.parameters]
    checkpoint = folder / untrained_name(model)
    write_inference_model(tmp_path / "export", folder, checkpoint, tmp_path / "trained.onnx")
    trained, evaluation = onnx.load(tmp_path / "trained.onnx"), onnx.load(folder / "eval_step.onnx")
    assert {"HardSwish", "PRelu", "InstanceNormalization"} <= {node.op_type for node in trained.graph.node}
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    parameters = by_name(read_checkpoint(checkpoint, model).parameters, model.parameters)
    feeds = {"image": images, "label": np.zeros(3, np.int64)}
    feeds |= {f"{PARAMETER}{name}": value for name, value in parameters.items()}
    logits = ort.InferenceSession(evaluation.SerializeToString()).run(["logits"], feeds)[0]
    inferred = ort.InferenceSession(trained.SerializeToString())
    again = inferred.run(None, {inferred.get_inputs()[0].name: images})[0]
    np.testing.assert_allclose(again, logits, rtol=1e-5, atol=1e-6)


def test_the_documentation_lists_every_operator() -> None:
    section = (ROOT / "docs" / "operators.md").read_text().partition("## Rewritten before differentiation")[2]
    assert not [name for name in REWRITES if f"`{name}`" not in section]
