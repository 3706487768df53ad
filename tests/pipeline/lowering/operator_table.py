"""The tables of docs/operators.md, from the tested families and the docstrings of the rules.

`python -m tests.pipeline.lowering.operator_table` writes them into the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.capture.onnx.corrections import CORRECTIONS
from pipeline.lowering.rules import later, pooled_conv
from pipeline.lowering.rules.registry import RULES
from tests.invoking import ROOT
from tests.networks import kinds
from tests.pipeline.lowering.families import FAMILIES, Family

PAGE = ROOT / "docs" / "operators.md"
WRITER = "operator_table.py"

# Tested otherwise than by random cases of one function: name, operators, what is covered, rules, test.
OTHERS: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...], str], ...] = (
    (
        "batch normalisation",
        ("BatchNormalization",),
        "training, with running statistics",
        ("BatchNormInternal", "BatchNormalizationGrad"),
        "test_batch_norm.py",
    ),
    (
        "dropout",
        ("Dropout",),
        "in training, the mask drawn from layer, step and element; in evaluation the identity",
        ("Dropout", "DropoutGrad"),
        "test_dropout.py",
    ),
    (
        "random numbers",
        (),
        "of torch modules: uniform, normal, bernoulli, drawn from layer, step and element",
        ("CounterUniform", "CounterNormal", "CounterBernoulli"),
        "test_random.py",
    ),
    (
        "recurrent layers",
        ("RNN", "LSTM", "GRU"),
        "of torch modules: any number of layers and steps, either direction or both",
        ("Recurrent", "RecurrentGrad"),
        "../capture/joint/test_recurrent.py",
    ),
    (
        "hard-swish",
        (),
        "of torch modules, at its bounds too",
        ("HardSwish", "HardSwishGrad"),
        "test_bounds.py",
    ),
    (
        "loss",
        ("SoftmaxCrossEntropyLoss",),
        "cross entropy over the batch, its mean or sum; the other losses are operators of the standard",
        ("SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyLossGrad"),
        "test_cross_entropy.py",
    ),
)
# Part of every training graph.
BOOKKEEPING = {"Identity", "InPlaceAccumulatorV2"}
# Written by the lowering itself.
INTERNAL = {pooled_conv.FORWARD, pooled_conv.BACKWARD, later.LATER}


def promised_rules() -> set[str]:
    """The operators of the training graph that a test contains."""
    families = {rule for family in FAMILIES.values() for rule in family.rules}
    return families.union(BOOKKEEPING, *(rules for *_, rules, _ in OTHERS))


def render() -> str:
    """The tables."""
    models = [_row(name, _names(f.operators), f.covers, _cases(f)) for name, f in FAMILIES.items()]
    others = [_row(name, _names(operators), covers, f"`{test}`") for name, operators, covers, _, test in OTHERS]
    rules = {name: rule for name, rule in RULES.items() if name not in INTERNAL}
    heading = _row("of the model", "as ONNX operators", "covered", "tested by")
    return "\n".join(
        [
            *("## What a model may contain", "", heading, "|---|---|---|---|", *models, *others, ""),
            *("## What torch means by a module", "", KEPT, "", *_kept(), ""),
            *("## What onnxruntime-training's own operators become", "", *_docs(rules), ""),
            *("## Corrected before differentiation", "", CORRECTED, "", *_docs(CORRECTIONS)),
        ]
    )


KEPT = """Each of these trains as in torch: losses of 20 steps, buffers, frozen tensors and evaluation
(`pytest tests/test_as_written.py`; what is drawn at random: `pytest tests/pipeline/checking`)."""

CORRECTED = """onnxruntime-training 1.19.2 builds the gradient of these wrongly, or fails at it. In the graph that
training differentiates, `pipeline/capture/onnx/corrections.py` writes them so that it does not."""


def page_with(tables: str, writer: str = WRITER) -> str:
    """The page with these tables instead of those that the writer has there."""
    text = PAGE.read_text()
    begin, end = (f"<!-- {edge} of what {writer} writes -->" for edge in ("begin", "end"))
    before, after = text[: text.index(begin)], text[text.index(end) :]
    return f"{before}{begin}\n{tables}\n{after}"


def _kept() -> list[str]:
    """An item for each module of `kinds.py`: its docstring."""
    return [f"- {(getattr(kinds, name).__doc__ or '').splitlines()[0]}" for name in kinds.names()]


def _docs(rules: Mapping[str, Callable[..., Any]]) -> list[str]:
    """An item for each rule: its operators, and the first line of its docstring."""
    named: dict[str, list[str]] = {}
    for name, rule in rules.items():
        named.setdefault((rule.__doc__ or "").splitlines()[0], []).append(name)
    return [f"- {_names(names)}: {doc}" for doc, names in named.items()]


def _cases(family: Family) -> str:
    return f"{family.examples * len(family.variants)} random cases"


def _names(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page_with(render()))
