"""The section of docs/operators.md on what is tried of torch, from the cases.

`python -m tests.sweep.table` writes it into the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.pipeline.lowering.operator_table import PAGE, page_with
from tests.sweep import as_written, functions, layers, tensors
from tests.sweep.case import Case

WRITER = "sweep/table.py"

Kinds = Mapping[str, Mapping[str, Case]]

# Of each part the noun for what it tries, and the cases by kind.
PARTS: tuple[tuple[str, str, Kinds], ...] = (
    ("Layers of torch.nn", "layers", layers.KINDS),
    ("Functions of torch.nn.functional", "functions", functions.KINDS),
    ("Functions of tensors", "functions", tensors.KINDS),
    ("As people write models", "ways", as_written.KINDS),
)

INTRODUCTION = """Each is tried within a small model between trained layers (`SWEEP=all pytest tests/sweep`, without
`SWEEP=all` a fixed part of them): it trains as torch trains it, with logits, loss, every gradient, buffers and the
updated weights compared for batches of another size than the model was exported with, or it is refused by a line that
says what to use instead."""


def render() -> str:
    """The section."""
    lines = ["## What is tried of torch", "", INTRODUCTION, "", *_numbers(), ""]
    for heading, _, kinds in PARTS:
        lines += [f"### {heading}", "", *(_item(kind, cases) for kind, cases in kinds.items()), ""]
    return "\n".join([*lines, "### Refused", "", *_refused()])


def _numbers() -> list[str]:
    rows = [_row(heading, *_counts(noun, kinds)) for heading, noun, kinds in PARTS]
    return [_row("", "of torch", "tried in so many ways", "train", "refused"), "|---|---|---|---|---|", *rows]


def _counts(noun: str, kinds: Kinds) -> tuple[str, ...]:
    cases = {name: case for of_kind in kinds.values() for name, case in of_kind.items()}
    refused = sum(bool(case.refused) for case in cases.values())
    names = len({_split(name)[0] for name in cases})
    return f"{names} {noun}", str(len(cases)), str(len(cases) - refused), str(refused)


def _item(kind: str, cases: Mapping[str, Case]) -> str:
    """The names that train, each with the ways in which it is tried."""
    ways: dict[str, list[str]] = {}
    for name, case in cases.items():
        if not case.refused:
            first, way = _split(name)
            ways.setdefault(first, []).extend([way] if way else [])
    return f"- {kind}: {', '.join(_named(name, others) for name, others in ways.items())}."


def _named(name: str, ways: Sequence[str]) -> str:
    return f"`{name}`" + (f" ({'; '.join(ways)})" if ways else "")


def _split(name: str) -> tuple[str, str]:
    """What is tried, and in which way: a case's name goes on after a comma."""
    first, _, way = name.partition(",")
    return first, way.strip()


def _refused() -> list[str]:
    rows = [
        _row(_named(first, [way] if way else []), case.refused)
        for _, _, kinds in PARTS
        for cases in kinds.values()
        for (first, way), case in ((_split(name), case) for name, case in cases.items())
        if case.refused
    ]
    return [_row("what", "why, and what to use instead"), "|---|---|", *rows]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page_with(render(), WRITER))
