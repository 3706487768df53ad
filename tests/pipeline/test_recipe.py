"""What the user may choose of an optimizer, and write into a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.optimizers import parse_optimizer
from pipeline.recipe import Optimizer, Preprocessing, Recipe


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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preprocessing": None}, "preprocessing=None: give a value of type Preprocessing"),
        ({"optimizer": "adam"}, "optimizer='adam': give a value of type Optimizer"),
        ({"trainable": "head.*"}, r"trainable='head.\*': give a value of type tuple"),
        ({"batch_size": 0}, "batch_size=0: give a whole number of at least 1"),
        ({"cycles": 1.5}, "cycles=1.5: give a whole number of at least 1"),
        ({"report_every": -1}, "report_every=-1: give a whole number of at least 0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: give a number of at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: give a number"),
        ({"clip_norm": 0}, "clip_norm=0: give a number above 0"),
        ({"clip_norm": -1.0}, "clip_norm=-1.0: give a number above 0"),
        ({"clip_norm": float("nan")}, "clip_norm=nan: give a number"),
        ({"clip_norm": "1"}, "clip_norm='1': give a number"),
        ({"target_accuracy": 93}, "target_accuracy=93: give a number above 0 and at most 1"),
    ],
)
def test_a_recipe_that_cannot_be_trained_by_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"the recipe's {message}"):
        Recipe(**({"preprocessing": Preprocessing(28, 28)} | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"height": 0}, "height=0: give a whole number of at least 1"),
        ({"width": 28.5}, "width=28.5: give a whole number of at least 1"),
        ({"scale": "1/255"}, "scale='1/255': give a number"),
        ({"mean": 0.5}, "mean=0.5: give numbers in a tuple"),
        ({"std": (0.5, 0.0)}, r"std=\(0.5, 0.0\): give numbers other than 0"),
    ],
)
def test_preprocessing_that_gives_no_numbers_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"the recipe's {message}"):
        Preprocessing(**({"height": 28, "width": 28} | fields))
