"""Where in the forward pass a difference begins: the first module whose output is not among the graph's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from pipeline.checking.differences import relative
from pipeline.checking.observed import Array
from pipeline.graphs.sessions import open_session

# What deep networks make of rounding on the way may be more than what is allowed at its end.
LIMIT = 1e-2


def beginning(graph: onnx.ModelProto, feeds: Mapping[str, Any], outputs: Mapping[str, Array]) -> str | None:
    """The first module whose output differs from the value of the graph that carries its name.

    Args:
      graph: a step, whose values are called after the modules that the exporter found them in.
      feeds: what it takes.
      outputs: what each module gives, in the order in which they end.

    Returns:
      `in` that module, `behind` the last one that is right, or None where no value carries a module's name.
    """
    values = _last_values(graph, outputs)
    found = _run(graph, feeds, list(values.values())) if values else {}
    right: str | None = None
    for path, name in values.items():
        ours, theirs = found[name], outputs[path]
        # Images may stand in another order of axes, and of what is fused another value has the name.
        if ours.size == theirs.size:
            if relative(np.sort(ours, axis=None), np.sort(theirs, axis=None)) > LIMIT:
                return f"in the module {path!r}"
            right = path
    return f"behind the module {right!r}" if right else None


def _last_values(graph: onnx.ModelProto, outputs: Mapping[str, Array]) -> dict[str, str]:
    """By module, the last value that carries its name, for those that hold no other."""
    inner = {path for path in outputs if path and not any(other.startswith(f"{path}.") for other in outputs)}
    prefixes = {_prefix(path): path for path in outputs if path in inner}
    last: dict[str, str] = {}
    for node in graph.graph.node:
        for name in node.output:
            scope = "/".join(name.split("/")[:-1]) + "/"
            if scope in prefixes:
                last[prefixes[scope]] = name
    return {path: last[path] for path in outputs if path in last}


def _prefix(path: str) -> str:
    """How torch's exporter begins the names of a module's values: that of a list's item holds the list's own."""
    parts: list[str] = []
    for part in path.split("."):
        parts.append(f"{parts[-1]}.{part}" if part.isdigit() and parts else part)
    return "/" + "/".join(parts) + "/"


def _run(graph: onnx.ModelProto, feeds: Mapping[str, Any], names: list[str]) -> dict[str, Array]:
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    results = open_session(watched).run(names, dict(feeds))
    return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}
