"""The report of a fleet: what it says, and that a browser shows it whole on a phone and on a desktop."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.fleet.report import write_report
from tests.browser import faults
from tests.pipeline.fleet.made import fleet, write_fleet

PHONE, TABLET, DESKTOP = 400, 800, 1280
ODD = ("<b>\n\"one, 'two'\"</b>", "x" * 255, "a rather long name of several words", "漢字 $x_1$")


def text_of(page: Path) -> str:
    """What a reader sees, in one line."""
    body = page.read_text("utf-8").partition("<body>")[2]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).split())


def written(folder: Path, records: list[dict[str, Any]]) -> str:
    page = write_report(write_fleet(folder, records))
    assert page == folder / "report.html"
    return text_of(page)


def test_it_says_in_a_few_sentences_what_happened(tmp_path: Path) -> None:
    told = written(tmp_path, fleet(strategy="fedadam,eta=0.1"))
    assert (
        "lenet was trained by FedAdam with eta=0.1 on 4 devices in 20 rounds of 1 local epoch, samples parted "
        "dirichlet:0.5. Accuracy on all test samples: 0.11 before, 0.9778 after. A training of the same length with "
        "all samples in one place reaches 0.985."
    ) in told
    assert "rounds 20 of 20 state ended time of a round 2.25 s beyond its slowest device 0.4 s took 1 min 1 s" in told


def test_without_test_images_here_it_says_what_the_devices_measured(tmp_path: Path) -> None:
    told = written(tmp_path, fleet(central=False, partition=None, local_epochs=2))
    assert "of 2 local epochs, each with samples of its own. Accuracy on the devices' own test samples: 0.09" in told
    assert "in one place" not in told


def test_each_device_is_a_line_with_what_it_is_and_what_it_has(tmp_path: Path) -> None:
    told = written(tmp_path, fleet(devices=2, classes=("a", "b")))
    counts = [record["train"] for record in fleet(devices=2, classes=("a", "b")) if record["event"] == "device"]
    tested = [sum(count // 6 for count in of_device) for of_device in counts]
    assert f"local:1 Pixel 0 — — {sum(counts[0]):,} {tested[0]} 20 " in told
    assert f"local:2 Pixel 1 8 7,168 MiB {sum(counts[1]):,} {tested[1]} 16 " in told


def test_who_was_missing_and_why_is_a_line_for_all_those_rounds(tmp_path: Path) -> None:
    away = [{"event": "missing", "round": number, "device": "<local:1>", "why": "5 °C\n"} for number in (1, 2, 3, 7)]
    told = written(tmp_path, [*fleet(away=9), *away])
    assert "local:4 9, 18 it did not answer within --round-timeout 60 <local:1> 1 to 3, 7 5 °C" in told
    assert "Nobody, in any round." in written(tmp_path, fleet(away=99))


def test_the_end_has_what_each_device_gained_by_steps_of_its_own(tmp_path: Path) -> None:
    told = written(tmp_path, fleet(devices=1))
    assert "trained 100 more steps on its own. device global model personalised gained local:1 0.95 0.98 +0.030" in told
    plain = [
        {**record, "personalised_accuracy": None, "steps": 0} if record["event"] == "evaluation" else record
        for record in fleet(devices=1)
    ]
    told = written(tmp_path, plain)
    assert "own test samples. device global model local:1 0.95 Who has" in told


def test_one_that_was_interrupted_says_how_to_go_on(tmp_path: Path) -> None:
    records = fleet()
    ends = [place for place, record in enumerate(records) if record["event"] == "round" and record["round"] == 7]
    told = written(tmp_path, records[: ends[0] + 1])
    assert "interrupted after round 7: what was recorded until then is here. --resume goes on." in told
    assert "At the end" not in told


def test_a_fleet_as_it_mostly_is(tmp_path: Path) -> None:
    assert faults(write_report(write_fleet(tmp_path, fleet())), PHONE, DESKTOP) == []


def test_a_fleet_of_many_devices_and_rounds(tmp_path: Path) -> None:
    assert faults(write_report(write_fleet(tmp_path, fleet(32, 200, away=7))), PHONE, DESKTOP) == []


@pytest.mark.parametrize("records", [fleet()[:1], fleet(1, 1, away=1), fleet()[:30]], ids=["bare", "one", "cut"])
def test_a_fleet_of_which_little_was_recorded(records: list[dict[str, Any]], tmp_path: Path) -> None:
    assert faults(write_report(write_fleet(tmp_path, records)), PHONE, TABLET, DESKTOP) == []


def test_a_fleet_with_names_of_any_length(tmp_path: Path) -> None:
    records = fleet(9, 3, classes=ODD, model=ODD[1][:80], strategy="fedadam,eta=0.1,beta_1=0.9,beta_2=0.99,tau=0.01")
    for record in records:
        if "device" in record:
            record["device"] = f"{ODD[int(record['device'][-1]) % 4]} {record['device']}"
    assert faults(write_report(write_fleet(tmp_path, records)), PHONE, DESKTOP) == []
