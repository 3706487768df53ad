"""What torch raises while a module is traced, in one line that names the user's own."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError, PipelineError, brief

# What torch says, and what it means.
_CHANGED = (
    "forward changes a parameter in place, which here the optimizer alone does: compute what is used from it "
    "(a parametrization), or make it a buffer"
)
KEPT = "forward keeps a tensor that is no buffer between runs, which no graph carries: make it one (register_buffer)"
_MEANT = {
    "received a mutation": _CHANGED,
    "expected idx": _CHANGED,
    "Unexpected fake buffer": KEPT,
    "mutating a non-functional tensor": KEPT,
    ".numpy() is not supported": "the model goes to numpy, which no graph has: compute with torch alone",
    "derivative for aten::native_channel_shuffle is not": (
        "torch has no gradient of native_channel_shuffle: use F.channel_shuffle, which is the same"
    ),
    "duplicated inputs that are mutated": "a buffer that forward changes has two names: give it one",
}

_DENSE = "compute with dense tensors (x.to_dense()), and with public functions of torch"

_DATA_DEPENDENT = ("GuardOnDataDependentSymNode", "DataDependentOutputException")
_NO_GRADIENT = re.compile(r"derivative for aten::(?P<name>\w+) is not implemented")


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
    if type(error).__name__ == "DynamicOutputShapeException":
        return f"the model uses {first}{where}, whose result has a size that only values tell: use torch.where"
    if "data-dependent" in str(error) or type(error).__name__ in _DATA_DEPENDENT:
        return (
            f"the model branches on the values of a tensor{where}: one of the branches would be traced for all images; "
            "write it with torch.where"
        )
    if type(error).__name__ == "UnsupportedOperatorException":
        return f"the model uses {first}{where}, whose result has no shape that torch knows: {_DENSE}"
    for said, meant in _MEANT.items():
        if said in str(error):
            return f"{meant}{where}"
    if found := _NO_GRADIENT.search(str(error)):
        return f"torch has no gradient of {found['name']}: give it what is detached (x.detach()){where}"
    return f"torch cannot export the model{where}: {type(error).__name__}: {first[:300]}"


def check_form(tensors: Mapping[str, Tensor]) -> None:
    """Refuses tensors by name that no graph has.

    Raises:
      ModelError: some are sparse, quantised or bfloat16.
    """
    sparse = [name for name, value in tensors.items() if value.layout != torch.strided or value.is_quantized]
    if sparse:
        raise ModelError(f"sparse or quantised tensors, which no graph has: {brief(sparse, 5)}; {_DENSE}")
    short = [name for name, value in tensors.items() if value.dtype == torch.bfloat16]
    if short:
        raise ModelError(f"bfloat16, with which no graph computes: {brief(short, 5)}; call .float() on it")


def own_files(module: nn.Module) -> set[str]:
    """The files in which the user defines the module's classes."""
    files = set()
    for child in module.modules():
        with contextlib.suppress(TypeError, OSError):
            files.add(inspect.getfile(type(child)))
    ours = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    return {file for file in files if not file.startswith(ours)}


def _where(error: BaseException, module: nn.Module) -> str:
    """The last line of the traceback that is the user's own."""
    own = own_files(module)
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
