"""Whether what torch traced with one size of batch holds for every other."""

from __future__ import annotations

import re
from pathlib import Path

import sympy
import torch
from torch import nn
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.symbol import SymT, symbol_is_type

from pipeline.capture.joint.failures import own_files
from pipeline.errors import ModelError

# Odd and even, small and large: a batch that training, or the rest of a dataset in evaluation, may have. Not 1, which
# torch traces apart from all others.
SIZES = (2, 3, 5, 8, 16, 31, 64, 256)

# Whose place is all that is known of what torch decides in its compiled code.
_COMPILED = "utils/_stats.py"

# "(folder/file.py:12 in forward)", the user's own and torch's alike.
_LINE = re.compile(r"^\((?P<file>.+):(?P<line>\d+) in .*\)$")


def check_any_batch(module: nn.Module, sizes: ShapeEnv) -> None:
    """Refuses a trace in which torch decided something by the size of the batch.

    Args:
      module: what was traced.
      sizes: what was decided while a module was traced; its only symbols are the batch's size, of images and of labels.

    Raises:
      ModelError: another size would have been decided otherwise.
    """
    for guard in sizes.guards:
        expression, line = guard.expr, _LINE.match(str(guard.sloc))
        # What only values tell is no matter of the batch: the operator is refused by name.
        if any(symbol_is_type(symbol, SymT.UNBACKED_INT) for symbol in expression.free_symbols):
            continue
        # Of one way or another to the same, as a convolution's kernel, torch's own code chooses by the batch.
        is_torchs = line and (Path(torch.__file__).parent / line["file"]).is_file()
        if is_torchs and not isinstance(expression, sympy.Eq):
            continue
        for size in SIZES:
            if expression.subs(dict.fromkeys(expression.free_symbols, size)) == sympy.false:
                own = [file for file in own_files(module) if line and file.endswith(line["file"])]
                place = f" at {own[0]}:{line['line']}" if own and line else ""
                if line and line["file"].endswith(_COMPILED):
                    raise ModelError(
                        "torch's own code would do one thing for a batch of 2 images and another for one of "
                        f"{size}, as in a gradient of a gradient through batch normalisation, or in torch.func: take "
                        "gradients by torch.autograd.grad, and GroupNorm in place of BatchNorm"
                    )
                raise ModelError(
                    f"the model does one thing for a batch of 2 images and another for one of {size}{place}: one of "
                    "them would be traced for all; write it for any size, with x.shape[0], which len(x) is not, and "
                    "a // b, which int(a / b) is not"
                )
