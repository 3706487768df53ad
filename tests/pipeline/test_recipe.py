"""What the user may choose of an optimizer."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.recipe import Optimizer, parse_optimizer


def test_an_optimizer_with_its_options() -> None:
    chosen = parse_optimizer("sgd, momentum=0.9, nesterov=1")
    assert chosen == Optimizer("sgd", (("momentum", 0.9), ("nesterov", 1.0)))
    assert chosen.values() == {"momentum": 0.9, "dampening": 0.0, "nesterov": 1.0, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adamm", "unknown optimizer 'adamm'"),
        ("adam,wd=1", "has no option 'wd': it has beta1"),
        ("adam,eps", "'eps' is not OPTION=NUMBER"),
        ("adam,beta1=1", "beta1=1: give a number from 0 to below 1"),
        ("adam,eps=-1", "eps=-1: give a number of at least 0"),
        ("sgd,momentum=nan", "momentum=nan: give a number of at least 0"),
        ("rmsprop,centered=2", "centered=2: give 0 or 1"),
        ("sgd,nesterov=1", "nesterov=1 takes momentum above 0"),
        ("sgd,nesterov=1,momentum=0.9,dampening=0.1", "and no dampening"),
    ],
)
def test_a_wrong_option_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_optimizer(text)
