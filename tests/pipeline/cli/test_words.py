"""Files and folders after a task's name."""

from __future__ import annotations

import pytest
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from pipeline.cli.words import named_words

CONTEXTS = {
    "infer": ParserContext(
        "infer", args=[Argument("paths", kind=list), Argument("run"), Argument("json", kind=bool, default=False)]
    ),
    "status": ParserContext("status"),
}
TAKERS = {"infer": "--paths"}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("infer a.png folder/", "infer --paths a.png --paths folder/"),
        ("infer --run runs/X a.png --json b.png", "infer --run runs/X --paths a.png --json --paths b.png"),
        ("infer --run=runs/X a.png", "infer --run=runs/X --paths a.png"),
        ("infer status", "infer --paths status"),
        ("infer --paths a.png b.png", "infer --paths a.png --paths b.png"),
        ("status infer a.png", "status infer --paths a.png"),
        ("status a.png", "status a.png"),
        ("infer --run", "infer --run"),
    ],
)
def test_each_word_gets_the_name_of_the_option_that_takes_it(line: str, named: str) -> None:
    assert named_words(line.split(), CONTEXTS, TAKERS) == named.split()
