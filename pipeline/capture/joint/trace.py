"""A torch module → torch's own graphs of it: forward and backward in one for training, forward alone for evaluation.

AOTAutograd differentiates, so the graphs say what a forward graph cannot: stopped gradients, renewed buffers, what is
training's alone. An operator is decomposed only where it has no rule in `operators/`.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
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
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.capture.joint.operators.call import RULES
from pipeline.errors import ModelError, PipelineError
from pipeline.graphs.names import GRADIENT, IMAGE, LABELS, LOGITS, LOSS, RENEWED
from pipeline.progress import note
from pipeline.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]

# Of a module within the one that is traced.
PREFIX = "module."
# In the names of parameters that are registered anew, for the dot that torch does not allow there.
_DOT = "__dot__"


def loss_of(recipe: Recipe, classes: int) -> Loss:
    """The recipe's loss of logits N×K and labels N, as `capture/losses.py` defines it."""

    def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(logits, label, label_smoothing=recipe.label_smoothing)

    def mean_squared_error(logits: Tensor, label: Tensor) -> Tensor:
        return functional.mse_loss(logits, _one_hot(logits, label, classes))

    def binary_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, _one_hot(logits, label, classes))

    losses = {f.__name__: f for f in (cross_entropy, mean_squared_error, binary_cross_entropy)}
    return losses[recipe.loss]


def _one_hot(logits: Tensor, label: Tensor, classes: int) -> Tensor:
    return (label.unsqueeze(1) == torch.arange(classes)).to(logits.dtype)


def logits_of(output: Any) -> Tensor:
    """Of several outputs the logits: `logits` of a dictionary, the first of a tuple.

    Raises:
      ModelError: there are none.
    """
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise ModelError(
            f"the model gives {type(output).__name__}: it has to give logits, a tuple that begins with them, or a "
            "dictionary with `logits`"
        )
    return output


class _WithLoss(nn.Module):
    """A module and its loss: image, label → loss, logits."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self.loss = loss

    def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        buffers = [(m, name, value) for m in self.module.modules() for name, value in m._buffers.items()]
        logits = logits_of(self.module(image))
        for owner, name, old in buffers:
            new = owner._buffers.get(name)
            # Assigned anew rather than changed in place, which is all that a graph can say.
            if old is not None and new is not None and new is not old:
                owner._buffers[name] = old
                with torch.no_grad():
                    old.copy_(new)
        return self.loss(logits, label), logits.detach()


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


def trace_training(module: nn.Module, held: Sequence[nn.Module], image: Tensor, label: Tensor, loss: Loss) -> Traced:
    """Loss, logits, gradients of the parameters that require them, and renewed buffers, for a batch of any size.

    Raises:
      ModelError: torch cannot trace the module; the message says where and why.
    """
    with _training(module, held), explained(module):
        try:
            return _traced(_WithLoss(_untied(module), loss), image, label, joint=True)
        except AssertionError as error:
            # Two parameters have one gradient, as the biases of a recurrent layer; torch names each by its node.
            if "gradients_to_parameters" not in str(error):
                raise
            return _traced(_WithLoss(_Untied(module), loss), image, label, joint=True)


def trace_evaluation(module: nn.Module, image: Tensor, label: Tensor, loss: Loss) -> Traced:
    """Loss and logits in evaluation mode, for a batch of any size.

    Raises:
      ModelError: torch cannot trace the module.
    """
    with _mode(module), explained(module), torch.no_grad():
        return _traced(_WithLoss(_untied(module), loss), image, label, joint=False)


def _traced(module: nn.Module, image: Tensor, label: Tensor, joint: bool) -> Traced:
    """By AOTAutograd alone: torch.export would put the true derivative in the place of a custom Function's backward."""
    from torch._functorch.aot_autograd import aot_export_module

    fake = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    # Some composite operators know sizes that are not numbers in their Python form alone.
    inputs = _any_batch(fake, image, IMAGE), _any_batch(fake, label, LABELS)
    # In the mode also what is made of sizes alone, as random numbers, has no values.
    with enable_python_dispatcher(), fake:
        made, signature = aot_export_module(
            module,
            inputs,
            trace_joint=joint,
            output_loss_index=0 if joint else None,
            decompositions=_decompositions(),
        )
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
            tensors[node.name] = getattr(made, str(node.target))
    trains = [name for name, parameter in module.named_parameters() if joint and parameter.requires_grad]
    order = [
        *(f"{RENEWED}{own_name(name)}" for name in signature.buffers_to_mutate.values()),
        *(LOSS, LOGITS),
        *(f"{GRADIENT}{own_name(name)}" for name in trains),
    ]
    output = next(node for node in graph.nodes if node.op == "output")
    return Traced(graph, given, dict(zip(order, output.args[0], strict=True)), tensors)


@cache
def _decompositions() -> dict[Any, Any]:
    """Torch's own, of operators that have no rule here; what has one stays whole."""
    return {
        overload: decomposition
        for overload, decomposition in decomposition_table.items()
        if isinstance(overload, OpOverload) and overload.overloadpacket.__name__ not in RULES
    }


def _any_batch(fake: FakeTensorMode, example: Tensor, name: str) -> Tensor:
    """A tensor without values, of whose first axis nothing is known."""
    sizes = [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (example.dim() - 1)]
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(dynamic_sizes=sizes)
    return fake.from_tensor(example, symbolic_context=context, source=LocalSource(name))


def own_name(target: str) -> str:
    """The user's name of what is within the module that is traced."""
    return target.removeprefix(PREFIX).replace(_DOT, ".")


class _Untied(nn.Module):
    """A module whose tied weights are one parameter each, as differentiation wants them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        # In a list, which registers nothing.
        self._hidden = [module]
        self._first: dict[str, str] = {}
        owners: dict[int, str] = {}
        for name, value in module.named_parameters(remove_duplicate=False):
            self._first[name] = owners.setdefault(id(value), name)
            if self._first[name] == name:
                self.register_parameter(name.replace(".", _DOT), value)
        for name, buffer in module.named_buffers(remove_duplicate=False):
            self._first[name] = owners.setdefault(id(buffer), name)
            if self._first[name] == name:
                self.register_buffer(name.replace(".", _DOT), buffer)
        self.training = module.training

    def forward(self, image: Tensor) -> Any:
        own = {first: getattr(self, first.replace(".", _DOT)) for first in set(self._first.values())}
        # A view of each parameter, so that its gradient is a node of its own.
        own |= {name: value.view_as(value) for name, value in own.items() if value.requires_grad}
        given = {name: own[first] for name, first in self._first.items()}
        return torch.func.functional_call(self._hidden[0], given, (image,))


def _untied(module: nn.Module) -> nn.Module:
    names = [len(list(module.named_parameters(remove_duplicate=remove))) for remove in (True, False)]
    return module if names[0] == names[1] else _Untied(module)


@contextlib.contextmanager
def _training(module: nn.Module, held: Sequence[nn.Module]) -> Iterator[None]:
    """The module in training mode, as its own `train` sets it, but for what is held in evaluation."""
    with _mode(module):
        module.train()
        for child in held:
            child.training = False
        cumulative = [child for child in module.modules() if _is_cumulative(child)]
        for child in cumulative:
            child.forward = types.MethodType(_cumulative_batch_norm, child)
        try:
            yield
        finally:
            for child in cumulative:
                del child.forward


def _is_cumulative(child: nn.Module) -> bool:
    is_norm = isinstance(child, nn.modules.batchnorm._BatchNorm)
    return is_norm and child.momentum is None and child.track_running_stats is True and child.training


@contextlib.contextmanager
def _mode(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and torch so that it can be traced; afterwards both are as they were."""
    was = {child: child.training for child in module.modules()}
    module.eval()
    instance_norm, functional.instance_norm = functional.instance_norm, _instance_norm
    level = logging.getLogger("torch").level
    try:
        # Attention and recurrent layers in products, whose gradients are products.
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
            warnings.simplefilter("ignore")
            logging.getLogger("torch").setLevel(logging.CRITICAL)
            yield
    finally:
        logging.getLogger("torch").setLevel(level)
        functional.instance_norm = instance_norm
        for child, mode in was.items():
            child.training = mode


def _cumulative_batch_norm(self: Any, x: Tensor) -> Tensor:
    """Batch norm whose running statistics are the mean over all batches; torch's own reads its counter as a number."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    with torch.no_grad():
        self.num_batches_tracked.add_(1)
        share = 1.0 / self.num_batches_tracked.to(torch.float32)
        self.running_mean.add_(share * (x.mean(axes) - self.running_mean))
        self.running_var.add_(share * (x.var(axes, correction=1) - self.running_var))
    return functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Torch's of that name in arithmetic: its own cannot be traced for a batch of any size."""
    axes = list(range(2, input.dim()))
    shape = [1, -1, *[1] * len(axes)]
    if use_input_stats:
        mean, variance = input.mean(axes, keepdim=True), input.var(axes, correction=0, keepdim=True)
        if running_mean is not None and running_var is not None:
            unbiased = input.detach().var(axes, correction=1)
            running_mean.mul_(1 - momentum).add_(momentum * mean.detach().flatten(1).mean(0))
            running_var.mul_(1 - momentum).add_(momentum * unbiased.mean(0))
    else:
        assert running_mean is not None and running_var is not None
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)
    normal = (input - mean) * torch.rsqrt(variance + eps)
    if weight is not None:
        normal = normal * weight.reshape(shape)
    return normal if bias is None else normal + bias.reshape(shape)


@contextlib.contextmanager
def explained(module: nn.Module) -> Iterator[None]:
    """Turns what torch's exporter raises in the block into one line that names the user's own line of code."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        raise ModelError(_reason(error, module)) from error


def _reason(error: Exception, module: nn.Module) -> str:
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    where = _where(error, module)
    if "data-dependent" in str(error) or type(error).__name__.startswith("GuardOnDataDependent"):
        return (
            f"the model branches on the values of a tensor{where}: one of the branches would be traced for all images; "
            "write it with torch.where"
        )
    return f"torch cannot export the model{where}: {type(error).__name__}: {first[:300]}"


def _where(error: BaseException, module: nn.Module) -> str:
    """The last line of the traceback that is the user's own: of a file that defines one of the module's classes."""
    files = set()
    for child in module.modules():
        with contextlib.suppress(TypeError, OSError):
            files.add(inspect.getfile(type(child)))
    own = {file for file in files if f"{Path(torch.__file__).parent}" not in file}
    frames: list[tuple[str, int]] = []
    seen: BaseException | None = error
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename in own:
                frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    return f" at {frames[-1][0]}:{frames[-1][1]}" if frames else ""


def freeze_unreached(
    module: nn.Module, held: Sequence[nn.Module], image: Tensor, label: Tensor, loss: Loss
) -> list[str]:
    """Finds by one eager step the trainable parameters that the loss does not reach, and freezes them.

    Returns:
      Their names, in the module's order.
    """
    state = {name: value.clone() for name, value in module.state_dict().items()}
    parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
    with _training(module, held), explained(module), torch.random.fork_rng(devices=[]):
        value = _WithLoss(module, loss)(image, label)[0]
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    module.load_state_dict(state)
    unreached = [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]
    for name in unreached:
        parameters[name].requires_grad_(False)
    if unreached:
        note(f"not trained, since the loss does not reach them: {', '.join(unreached)}")
    return unreached
