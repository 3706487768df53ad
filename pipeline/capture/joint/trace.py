"""A torch module → torch's own graphs of it: forward and backward in one for training, forward alone for evaluation.

AOTAutograd differentiates, so the graphs say what a forward graph cannot: stopped gradients, renewed buffers, what is
training's alone. An operator is decomposed only where it has no rule in `operators/`.
"""

from __future__ import annotations

import contextlib
import logging
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._decomp import decomposition_table
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import LocalSource
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn.attention import SDPBackend, sdpa_kernel

from device_runtime.formats.steps import GRADIENT, RENEWED
from pipeline.capture.joint.any_batch import check_any_batch
from pipeline.capture.joint.arithmetic.mode import GENERATOR, InArithmetic
from pipeline.capture.joint.failures import check_form, explained
from pipeline.capture.joint.forgetting import forgetting
from pipeline.capture.joint.instead import INSTEAD
from pipeline.capture.joint.loss import LossOfOutput, logits_of
from pipeline.capture.joint.operators.call import COMPLEX_RULES, RULES
from pipeline.capture.joint.stand_ins import cumulative_batch_norm, random_order, standing_in, trilinear
from pipeline.capture.joint.untied import Untied, own_name, untied
from pipeline.errors import ModelError, brief
from pipeline.graphs.names import IMAGE, LABELS, LOGITS, LOSS
from pipeline.progress import note


class _WithLoss(nn.Module):
    """A module and its loss: image, label → loss, logits, and the new values of the buffers that are assigned anew.

    A value that is assigned is another tensor than the old one, which the backward pass may still read.

    Attributes:
      assigned: those buffers' names, after a run.
    """

    def __init__(self, module: nn.Module, loss: LossOfOutput) -> None:
        super().__init__()
        self.module = module
        self.loss = loss
        self.assigned: list[str] = []

    def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, ...]:
        buffers = dict(self.named_buffers())
        with forgetting(self.module):
            output = self.module(image)
        now = dict(self.named_buffers(remove_duplicate=False))
        self.assigned = [name for name, old in buffers.items() if now.get(name, old) is not old]
        renewed = []
        for name in self.assigned:
            owner, _, own = name.rpartition(".")
            self.get_submodule(owner)._buffers[own] = buffers[name]
            renewed.append(torch.empty_like(buffers[name]).copy_(now[name].detach()))
        return self.loss(output, label), logits_of(output).detach(), *renewed


@dataclass(frozen=True)
class Traced:
    """What torch made of a module.

    Attributes:
      graph: calls of ATen operators.
      given: the placeholders by our names: image, labels, and the module's parameters and buffers.
      results: the values that the graph gives: loss, logits, `gradient/<parameter>`, `renewed/<buffer>`.
      tensors: the module's parameters and buffers, and constants by the names of their nodes.
    """

    graph: Graph
    given: Mapping[str, Node]
    results: Mapping[str, Node]
    tensors: Mapping[str, Tensor]


def trace_training(
    module: nn.Module, held: Sequence[nn.Module], image: Tensor, label: Tensor, loss: LossOfOutput
) -> Traced:
    """Loss, logits, gradients of the parameters that require them, and renewed buffers, for a batch of any size.

    Raises:
      ModelError: torch cannot trace the module; the message says where and why.
    """
    with _training(module, held), explained(module):
        try:
            return _traced(_WithLoss(untied(module), loss), image, label, joint=True)
        except AssertionError as error:
            # Two parameters have one gradient, as two biases of one sum; torch names each by its node.
            if "gradients_to_parameters" not in str(error):
                raise
            return _traced(_WithLoss(Untied(module), loss), image, label, joint=True)


def trace_evaluation(module: nn.Module, image: Tensor, label: Tensor, loss: LossOfOutput) -> Traced:
    """Loss and logits in evaluation mode, for a batch of any size.

    Raises:
      ModelError: torch cannot trace the module.
    """
    with _mode(module), explained(module), torch.no_grad():
        return _traced(_WithLoss(untied(module), loss), image, label, joint=False)


def _traced(module: _WithLoss, image: Tensor, label: Tensor, joint: bool) -> Traced:
    """By AOTAutograd alone: torch.export would put the true derivative in the place of a custom Function's backward."""
    from torch._functorch.aot_autograd import aot_export_module

    sizes = ShapeEnv()
    fake = FakeTensorMode(shape_env=sizes, allow_non_fake_inputs=True)
    inputs = _any_batch(fake, image, IMAGE), _any_batch(fake, label, LABELS)
    # In the mode also what is made of sizes alone, as random numbers, has no values; and some composite operators know
    # sizes that are not numbers in their Python form alone, which the dispatcher takes.
    with enable_python_dispatcher(), fake, InArithmetic():
        made, signature = aot_export_module(
            module,
            inputs,
            trace_joint=joint,
            output_loss_index=0 if joint else None,
            decompositions=_decompositions(),
        )
    check_any_batch(module, sizes)
    assert isinstance(made, GraphModule)
    graph: Graph = made.graph
    tensors = {own_name(name): value for name, value in [*module.named_parameters(), *module.named_buffers()]}
    places = iter((IMAGE, LABELS))
    names = signature.inputs_to_parameters | signature.inputs_to_buffers
    given: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            given[own_name(names[node.name]) if node.name in names else next(places)] = node
        elif node.op == "get_attr":
            tensors[node.name] = _constant(getattr(made, str(node.target)))
    trains = [name for name, parameter in module.named_parameters() if joint and parameter.requires_grad]
    order = [
        *(f"{RENEWED}{own_name(name)}" for name in signature.buffers_to_mutate.values()),
        *(LOSS, LOGITS),
        *(f"{RENEWED}{own_name(name)}" for name in module.assigned),
        *(f"{GRADIENT}{own_name(name)}" for name in trains),
    ]
    output = next(node for node in graph.nodes if node.op == "output")
    return Traced(graph, given, dict(zip(order, output.args[0], strict=True)), tensors)


def _constant(value: object) -> Tensor:
    if isinstance(value, Tensor):
        check_form({"a constant of the model": value})
        return value
    if isinstance(value, torch.Generator):
        raise ModelError(GENERATOR)
    raise ModelError(f"the model uses a {type(value).__name__}, which no graph has: keep tensors and numbers alone")


@cache
def _decompositions() -> dict[Any, Any]:
    """Torch's own, of operators that have no rule here; what has one stays whole."""
    known = {*RULES, *COMPLEX_RULES, *INSTEAD}
    torchs = {
        overload: decomposition
        for overload, decomposition in decomposition_table.items()
        if isinstance(overload, OpOverload) and overload.overloadpacket.__name__ not in known
    }
    own = {torch.ops.aten.randperm.default: random_order, torch.ops.aten._trilinear.default: trilinear}
    return torchs | own


def _any_batch(fake: FakeTensorMode, example: Tensor, name: str) -> Tensor:
    """A tensor without values, of whose first axis nothing is known."""
    sizes = [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (example.dim() - 1)]
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(dynamic_sizes=sizes)
    return fake.from_tensor(example, symbolic_context=context, source=LocalSource(name))


@contextlib.contextmanager
def _training(module: nn.Module, held: Sequence[nn.Module]) -> Iterator[None]:
    """The module in training mode, as its own `train` sets it, but for what is held in evaluation."""
    with _mode(module):
        module.train()
        for child in held:
            child.training = False
        cumulative = [child for child in module.modules() if _is_cumulative(child)]
        for child in cumulative:
            child.forward = types.MethodType(cumulative_batch_norm, child)
        try:
            yield
        finally:
            for child in cumulative:
                del child.forward


def _is_cumulative(child: nn.Module) -> bool:
    is_norm = isinstance(child, nn.modules.batchnorm._BatchNorm)
    return is_norm and child.momentum is None and child.track_running_stats is True and child.training


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _mode(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and torch so that it can be traced; afterwards both are as they were."""
    was = {child: child.training for child in module.modules()}
    module.eval()
    level, is_fast = logging.getLogger("torch").level, torch.backends.mha.get_fastpath_enabled()
    # An operator for a whole layer, in evaluation alone.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # Attention in products, whose gradients are products.
        with _without_warnings(), standing_in(), sdpa_kernel(SDPBackend.MATH):
            logging.getLogger("torch").setLevel(logging.CRITICAL)
            yield
    finally:
        logging.getLogger("torch").setLevel(level)
        torch.backends.mha.set_fastpath_enabled(is_fast)
        for child, mode in was.items():
            child.training = mode


def unreached_parameters(
    module: nn.Module, held: Sequence[nn.Module], image: Tensor, label: Tensor, loss: LossOfOutput
) -> list[str]:
    """Finds by one eager step the trainable parameters that the loss does not reach, and names them."""
    parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
    with _training(module, held), explained(module), torch.random.fork_rng(devices=[]):
        value = _WithLoss(module, loss)(image, label)[0]
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    unreached = [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]
    if unreached:
        note(f"not trained, since the loss does not reach them: {brief(unreached)}")
    return unreached
