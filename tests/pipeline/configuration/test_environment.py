"""What is read of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.environment import environment_options
from pipeline.errors import UsageError


def test_variables_name_options() -> None:
    environment = {
        "PATH": "/bin",
        "TRAIN_ON_DEVICE_CYCLES": "300",
        "TRAIN_ON_DEVICE_LEARNING_RATE": "0.5",
        "TRAIN_ON_DEVICE_WHILE_CHARGING": "true",
        "TRAIN_ON_DEVICE_AUGMENT": "flip,crop",
        "TRAIN_ON_DEVICE_DATA": "folder",
        "TRAIN_ON_DEVICE_DEBIAN_MIRROR": "http://mirror",
        "TRAIN_ON_DEVICE_RUNTIMES": "/runtimes",
        "TRAIN_ON_DEVICE_SERIAL": "",
    }
    read = {given.name: given.value for given in environment_options(environment)}
    assert read == {
        "cycles": 300,
        "learning_rate": 0.5,
        "while_charging": True,
        "augment": ("flip", "crop"),
        "data": Path("folder"),
    }


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CYCELS", "3", "TRAIN_ON_DEVICE_CYCELS in the environment is no option: did you mean TRAIN_ON_DEVICE_CYCLES?"),
        ("PATHS", "a.png", "TRAIN_ON_DEVICE_PATHS in the environment is no option"),
        ("cycles", "3", "TRAIN_ON_DEVICE_cycles in the environment is no option: did you mean TRAIN_ON_DEVICE_CYCLES?"),
        ("DEBIAN_MIROR", "x", "TRAIN_ON_DEVICE_DEBIAN_MIROR in the environment is no option: did you mean TRAIN_ON"),
        ("ZZZZ", "x", "TRAIN_ON_DEVICE_ZZZZ in the environment is no option"),
        ("CYCLES", "many", "TRAIN_ON_DEVICE_CYCLES=many in the environment: give a whole number of at least 0"),
        ("VERBOSE", "1", "TRAIN_ON_DEVICE_VERBOSE=1 in the environment: give true or false"),
        ("TARGET", "x87", "TRAIN_ON_DEVICE_TARGET in the environment: unknown target 'x87'"),
        ("SCHEDULE", "zigzag", "TRAIN_ON_DEVICE_SCHEDULE=zigzag in the environment: give constant, step or cosine"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_variable(variable: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        environment_options({f"TRAIN_ON_DEVICE_{variable}": value})
    assert str(error.value).startswith(message)
