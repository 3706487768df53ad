"""docs/options.md."""

from __future__ import annotations

from pipeline.configuration.declared import declared
from pipeline.configuration.table import options_page
from tests.invoking import ROOT


def test_the_page_is_what_the_declarations_say() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == options_page(), "renew it: invoke options"


def test_each_option_has_one_row() -> None:
    rows = [line.split(" | ")[0].strip("| ") for line in options_page().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"`--{name.replace('_', '-')}`" for name in declared())
