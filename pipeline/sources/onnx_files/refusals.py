"""What onnx, onnxruntime and protobuf raise, as the one line that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ModelError, PipelineError

LONGEST_REASON = 300

# What ONNX Runtime says, and what helps then; the first that fits.
_ADVICE = (
    (
        r"not a registered function|No Op registered|is not registered|No opset import for domain|custom op",
        "export it with operators of the ONNX standard alone",
    ),
    (r"invalid dimensions for input|Invalid rank for input", "give images of the size that it takes"),
    (r"NOT_IMPLEMENTED|Could not find an implementation", "replace the operator, or export it with opset_version=17"),
    (
        r"INVALID_GRAPH|INVALID_PROTOBUF|ShapeInferenceError|TypeInferenceError|Type Error",
        "the file contradicts itself: export it again",
    ),
    (
        r"bad_alloc|MemoryError|out of memory|Failed to allocate",
        "it asks for more memory than there is: export it again",
    ),
)


@contextmanager
def refusing(what: str, advice: str | None = None) -> Iterator[None]:
    """Turns whatever a library raises inside into a ModelError of one line; our own errors pass.

    The libraries have no common base class, and raise builtin errors from C++.

    Args:
      what: begins the line, as "model.onnx cannot be read".
      advice: ends it; None: the one that fits the reason.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        raise ModelError(f"{what}: {reason_of(error)}; {advice or advice_for(error)}") from error


def reason_of(error: Exception) -> str:
    """The first line of what a library says, without what only its authors can read."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    # C++ puts the function's signature before the reason.
    text = re.sub(r"\S+\.(cc|h|cpp):\d+ \S.*?\) ", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:LONGEST_REASON].rstrip(" .;")


def advice_for(error: Exception) -> str:
    """What to do about a network that ONNX Runtime does not run."""
    text = f"{type(error).__name__} {error}"
    found = (advice for pattern, advice in _ADVICE if re.search(pattern, text))
    return next(found, "export it again, and check that onnxruntime runs the file")
