"""Operators beyond convolution and dense layers: torch's gradients, and a named error for what is not lowered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import LoweringError, ModelError
from pipeline.graphs.graph import Graph
from pipeline.lowering import training_graph
from pipeline.lowering.rules.registry import RULES
from tests.pipeline.lowering import operator_table
from tests.pipeline.lowering.harness import assert_same, by_lowering, by_torch

CLASSES = 5


class Around(nn.Module):
    """A function between layers with parameters, so that its gradient is needed."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.before = nn.Conv2d(2, 2, 1)
        self.function = function
        self.after = nn.Linear(function(torch.zeros(1, 2, 4, 6)).numel(), CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.after(self.function(self.before(image)).flatten(1))
        return logits


class Attention(nn.Module):
    """A head of self-attention over an embedding of rounded pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.after = nn.Linear(48 * 8, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        tokens = self.norm(self.embedding(image.abs().clamp(0, 6).long().flatten(1)))
        weights = torch.softmax(self.query(tokens) @ self.key(tokens).transpose(1, 2) / 8**0.5, -1)
        logits: Tensor = self.after(functional.gelu(weights @ self.value(tokens) + tokens).flatten(1))
        return logits


class Beside(nn.Module):
    """The image itself, which trains nothing, beside its normalised self."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.after = nn.Linear(96, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.after(torch.cat([image, self.norm(image)], 1).flatten(1))
        return logits


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "leaky relu": lambda x: functional.leaky_relu(x, 0.1),
    "relu6": lambda x: torch.clamp(x, 0, 0.5),
    "gelu": functional.gelu,
    "softmax": lambda x: torch.softmax(x, 1),
    "log softmax": lambda x: torch.log_softmax(x, -1),
    "average pool": lambda x: functional.avg_pool2d(x, 2),
    "average pool, overlapping": lambda x: functional.avg_pool2d(x, 3, stride=2),
    "average pool, padded": lambda x: functional.avg_pool2d(x, 3, stride=2, padding=1),
    "average pool, padding not counted": lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "global average pool": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "mean": lambda x: x.mean((2, 3)),
    "sum": lambda x: x.sum(1),
    "arithmetic": lambda x: x + x * 2 - x / 3,
    "broadcasting": lambda x: x * x.mean((2, 3), keepdim=True) + x.sum(1, keepdim=True),
    "a fifth axis": lambda x: (functional.conv2d(x, torch.ones(2, 2, 3, 3).to(x)) * torch.full((1,) * 5, 2.0))[0],
    "exp, sqrt, log, pow": lambda x: torch.exp(x) + torch.sqrt(x * x + 1) + torch.log(x**2 + 1),
    "where": lambda x: torch.where(x > 0, x * 3, x),
    "concat": lambda x: torch.cat([x, x * 2], 1),
    "split": lambda x: torch.split(x, 1, 1)[0] * torch.split(x, 1, 1)[1],
    "slice with steps": lambda x: x[:, :, 1:, ::2],
    "pad": lambda x: functional.pad(x, (1, 1, 2, 0)),
    "transpose": lambda x: x.permute(0, 2, 3, 1),
    "a mask for whole images": lambda x: torch.where((x.mean((2, 3), keepdim=True) > 0).expand(-1, -1, 4, 6), x, -x),
    "an index for whole images": lambda x: x.gather(1, x.sum((2, 3), True).argmax(1, True).expand(-1, -1, 4, 6)),
    "batched products": lambda x: x @ x.transpose(2, 3),
}


def check(module: nn.Module, folder: Path) -> None:
    image = np.random.default_rng(0).normal(size=(3, 2, 4, 6)).astype(np.float32)
    label = np.arange(3, dtype=np.int64) % CLASSES
    assert_same(by_lowering(module, image, label, folder), by_torch(module, image, label))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_equal_torchs(name: str, tmp_path: Path) -> None:
    check(Around(FUNCTIONS[name]), tmp_path)


def test_layer_norm_with_parameters(tmp_path: Path) -> None:
    layers = (nn.Conv2d(2, 3, 1), nn.LayerNorm([3, 4, 6]), nn.Flatten(), nn.Linear(72, CLASSES))
    check(nn.Sequential(*layers), tmp_path)


def test_attention_over_an_embedding(tmp_path: Path) -> None:
    check(Attention(), tmp_path)


def test_an_image_beside_what_is_made_of_it(tmp_path: Path) -> None:
    check(Beside(), tmp_path)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 7), (2, 3, 4, 6), (2, 3, 2, 3, 4)])
def test_batch_norm(shape: tuple[int, ...], tmp_path: Path) -> None:
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)](3)
    layers = [nn.Flatten(), nn.Linear(math.prod(shape[1:]), math.prod(shape[1:])), nn.Unflatten(1, shape[1:]), norm]
    module = nn.Sequential(*layers, nn.Tanh(), nn.Flatten(), nn.Linear(math.prod(shape[1:]), CLASSES))
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    image = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    label = np.arange(len(image), dtype=np.int64) % CLASSES
    assert_same(by_lowering(module, image, label, tmp_path), by_torch(module, image, label), 1e-4)


@pytest.mark.parametrize("groups", [1, 4], ids=["batch first", "batch last"])
def test_batch_norm_far_from_zero(groups: int, tmp_path: Path) -> None:
    # With a mean 100 times the deviation, 1e-5 of float32's digits are left, and sums over pixels lose some of them.
    before = nn.Conv2d(4, 4, 3, groups=groups)
    before.bias = nn.Parameter(torch.full((4,), 100.0))
    module = nn.Sequential(
        before, nn.BatchNorm2d(4), nn.Sigmoid(), nn.AvgPool2d(14), nn.Flatten(), nn.Linear(4, CLASSES)
    )
    image = np.random.default_rng(0).normal(size=(8, 4, 16, 16)).astype(np.float32)
    label = np.arange(len(image), dtype=np.int64) % CLASSES
    assert_same(by_lowering(module, image, label, tmp_path), by_torch(module, image, label), 5e-4)


@pytest.mark.parametrize("attributes", list(itertools.product((0, 1), repeat=4)), ids=str)
def test_fused_products_equal_those_of_onnxruntime_training(attributes: tuple[int, ...]) -> None:
    # Its gradients transpose the last axes alone; a model that ONNX Runtime has optimized may transpose the batch too.
    names = ("transA", "transB", "transBatchA", "transBatchB")
    node = helper.make_node("FusedMatMul", ["a", "b"], ["y"], domain="com.microsoft", alpha=0.5)
    node.attribute.extend(helper.make_attribute(*pair) for pair in zip(names, attributes, strict=True))
    shapes = {
        name: _stored((2, 3, *sizes), transposed, moved)
        for name, sizes, transposed, moved in zip("ab", ((4, 5), (5, 6)), attributes[:2], attributes[2:], strict=True)
    }
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, 4, 6])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    fused = helper.make_model(helper.make_graph([node], "fused", infos, [y]), opset_imports=domains, ir_version=8)
    g = Graph()
    values = training_graph.lower(fused, g, {name: g.name(name) for name in shapes}, {})
    g.publish({"y": values["y"]})
    random = np.random.default_rng(0)
    feeds = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    lowered, expected = (
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for model in (g.model("lowered", infos, [y]), fused)
    )
    np.testing.assert_allclose(lowered, expected, rtol=1e-5, atol=1e-5)


def _stored(shape: tuple[int, ...], transposed: int, moved: int) -> tuple[int, ...]:
    """How a factor of this shape is given: its last two axes swapped, and then its first axis put before the last."""
    stored = (*shape[:2], shape[3], shape[2]) if transposed else shape
    return (stored[2], *stored[:2], stored[3]) if moved else stored


def test_operators_that_are_not_lowered_are_named_with_their_nodes() -> None:
    nodes = [helper.make_node(op, ["x"], [op], f"/{op}", domain="com.microsoft") for op in ("RareGrad", "OddGrad")]
    model = helper.make_model(helper.make_graph(nodes, "odd", [], []))
    with pytest.raises(LoweringError, match=r"com.microsoft:RareGrad \(node '/RareGrad'\), com.microsoft:OddGrad"):
        training_graph.lower(model, Graph(), {"x": "x"}, {})


def test_an_operator_without_a_gradient_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot differentiate the model: .*CumSum"):
        check(Around(lambda x: x.cumsum(1)), tmp_path)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x @ torch.ones(6), "cannot differentiate the model: .*FusedMatMul"),
        (
            nn.ConvTranspose2d(2, 2, 2, dilation=2, output_padding=1),
            "ConvTranspose .* output_padding that is",
        ),
        (lambda x: functional.max_pool2d(x, 2, 3, 1, ceil_mode=True), "does not run with a batch of 2: .*Gemm"),
    ],
    ids=["a product with a vector", "a large output padding", "a window behind the image"],
)
def test_what_is_not_covered_is_refused(function: Callable[[Tensor], Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises((ModelError, LoweringError), match=message) as refusal:
        check(Around(function), tmp_path)
    assert "onnxruntime_src" not in str(refusal.value)


def test_the_documentation_has_the_tables_of_the_tests() -> None:
    assert operator_table.PAGE.read_text() == operator_table.page_with(operator_table.render()), (
        "docs/operators.md is not what the tests promise: python -m tests.pipeline.lowering.operator_table"
    )


def test_every_rule_is_promised_by_a_test() -> None:
    assert RULES.keys() - operator_table.INTERNAL == operator_table.promised_rules()
    folder = Path(__file__).parent
    assert all((folder / test).is_file() for *_, test in operator_table.OTHERS)
