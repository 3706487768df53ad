"""Integers of 8 and 16 bits, with which ONNX Runtime hardly computes: as int32, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from pipeline.capture.joint.operators.call import Call, Rule, Tensor, Writer

_SHORT = (torch.uint8, torch.int8, torch.int16)


def widened(call: Call, rule: Rule) -> Rule:
    """The rule of a call, with short integers as int32; of none the rule itself, and of a cast, which knows them."""
    given = [part for value in call.arguments.values() for part in (value if isinstance(value, list) else [value])]
    is_short = any(isinstance(value, Tensor) and value.dtype in _SHORT for value in (*given, *call.results))
    return _of_short(rule) if is_short and call.name != "_to_copy" else rule


def _of_short(rule: Rule) -> Rule:
    def write(call: Call, g: Writer) -> Any:
        arguments = {
            name: [_wide(g, each) for each in value] if isinstance(value, list) else _wide(g, value)
            for name, value in call.arguments.items()
        }
        results = tuple(result and _typed(result) for result in call.results)
        made = rule(replace(call, arguments=arguments, results=results), g)
        values = (made,) if isinstance(made, str) else made
        short = [
            g.cast(str(value), result.dtype) if value and result and result.dtype in _SHORT else value
            for value, result in zip(values, call.results, strict=False)
        ]
        return short[0] if isinstance(made, str) else tuple(short)

    return write


def _wide(g: Writer, value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in _SHORT:
        return replace(value, value=g.as_type(value, torch.int32), dtype=torch.int32)
    return value


def _typed(result: Tensor) -> Tensor:
    return replace(result, dtype=torch.int32) if result.dtype in _SHORT else result
