"""The registry of lowering rules.

A rule is one function for one operator of onnxruntime-training's graph, of its own or of the standard. It writes
operators of the ONNX standard into the graph and returns the names of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node, decorator_of

Rule = Callable[[Node, Graph], Value | tuple[Value, ...]]

RULES: dict[str, Rule] = {}
lowers = decorator_of(RULES)
