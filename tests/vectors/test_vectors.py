"""The vectors are what this runner gives: a change of it cannot leave the other languages behind unseen."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from tests.vectors.making import FOLDER, text_of, vectors

MADE = vectors()


def _rounded(text: str) -> Any:
    """Machines round the last bit of a cosine in their own ways."""
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.12g}"))


@pytest.mark.parametrize("name", MADE)
def test_a_file_holds_what_the_runner_gives(name: str) -> None:
    kept, made = (_rounded(text) for text in ((FOLDER / name).read_text(), text_of(MADE[name])))
    assert len(made) > 3
    assert kept == made


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == MADE.keys()


def test_a_dropout_draws_by_the_formula_of_the_page() -> None:
    prime = 2_147_483_579
    for case in MADE["dropout.json"]:
        key = zlib.crc32(case["node"].encode()) % prime
        first = pow(pow(case["step"] + key, 3, prime) + key, 3, prime)
        second = pow(first + key, 3, prime)
        for element, drawn in enumerate(case["uniform"]):
            mixed = pow(pow(element + first, 3, prime) + second, 3, prime)
            assert drawn == pytest.approx(mixed / prime, rel=1e-6)
