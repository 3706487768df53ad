"""Scripts that fail."""

from __future__ import annotations

import pytest

from pipeline.errors import RunFailed
from pipeline.run import run_script
from tests.pipeline.targets.saying import Saying


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("10: Loss", "error: training diverged"), "train.sh on x86: training diverged"),
        (("10: Loss", "Killed"), "train.sh on x86 ended with exit code 3: Killed"),
        ((), "train.sh on x86 ended with exit code 3: no output"),
    ],
)
def test_why_a_script_failed_is_said_once(lines: tuple[str, ...], message: str) -> None:
    said: list[str] = []
    with pytest.raises(RunFailed) as caught:
        run_script(Saying(3, *lines), "train.sh", [], said.append)
    assert str(caught.value) == message
    assert said == [line for line in lines if not line.startswith("error: ")]
