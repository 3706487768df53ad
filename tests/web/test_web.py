"""A package trains in a real browser: as on x86, on from where its page was loaded again, and back in `runs/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.metrics import read_metrics
from device_runtime.formats.model import read_model
from tests.invoking import Invoked, invoke, losses
from tests.web.chromium import Chromium, Page, wait_until
from tests.web.running import running

TOLERANCE = 1e-4
CYCLES = 100
STATE = "document.querySelector('#state')?.textContent"
IS_DONE = f"/results are on the computer/.test({STATE})"
LONG = 150
STEPS = f"Math.round({LONG} * document.querySelector('#progress')?.value)"


@pytest.fixture(scope="module")
def built(build: Path) -> tuple[str, ...]:
    """Options that mean the shared build folder, of the sample."""
    return ("--build", str(build), "--threads", "1")


@pytest.fixture(scope="module")
def trained(
    built: tuple[str, ...], browser: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Invoked, Page]]:
    """A whole run, and its page, which is still open."""
    folder = tmp_path_factory.mktemp("trained")
    words = ("run", "--target", "web", *built, "--runs", folder / "runs", "--cycles", str(CYCLES))
    with running(folder, *words) as task:
        page = browser.open(task.address())
        page.wait_for(IS_DONE)
        yield task.ended(), page


@pytest.fixture(scope="module")
def on_x86(built: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Invoked:
    """The same run on this machine."""
    runs = tmp_path_factory.mktemp("x86") / "runs"
    return invoke("run", "--target", "x86", *built, "--runs", runs, "--cycles", str(CYCLES))


def test_a_run_prints_what_the_untrained_and_the_trained_model_are_worth(trained: tuple[Invoked, Page]) -> None:
    run, _ = trained
    assert run.code == 0, run.stderr
    untrained, last, evaluated = run.accuracies
    assert untrained < 0.3 < last == evaluated
    assert f"{CYCLES}:\tLoss is " in run.stdout


def test_its_losses_are_those_of_x86(trained: tuple[Invoked, Page], on_x86: Invoked) -> None:
    found, wanted = losses(trained[0].results), losses(on_x86.results)
    assert len(found) == CYCLES
    assert found == pytest.approx(wanted, abs=TOLERANCE)
    assert trained[0].accuracies == pytest.approx(on_x86.accuracies, abs=0.002)


def test_its_results_are_those_of_any_target(trained: tuple[Invoked, Page], on_x86: Invoked) -> None:
    found, wanted = ({path.name for path in run.results.iterdir()} for run in (trained[0], on_x86))
    # A page does not know how much memory it has.
    assert found == wanted - {"memory.png"}
    assert "Chrom" in json.loads((trained[0].results / "device.json").read_text())["system"]
    assert trained[0].results.name.endswith("-lenet-web")


def test_the_checkpoint_that_came_back_is_worth_the_same_on_x86(
    trained: tuple[Invoked, Page], built: tuple[str, ...]
) -> None:
    run, _ = trained
    checkpoint = run.results / f"lenet_trained_{CYCLES}.safetensors"
    evaluated = invoke("eval", "--target", "x86", *built, "--checkpoint", checkpoint)
    assert evaluated.accuracies == [run.accuracies[-1]]


def test_the_page_shows_mistakes_and_gives_the_model(
    trained: tuple[Invoked, Page], browser: Chromium, tmp_path: Path
) -> None:
    run, page = trained
    wrong = round(1000 * (1 - run.accuracies[-1]))
    assert page.value("document.querySelectorAll('#wrong-pictures canvas').length") == min(24, wrong)
    browser.download_into(tmp_path)
    name = f"lenet_trained_{CYCLES}.safetensors"
    page.value("document.querySelector('#checkpoint').click()")
    wait_until((tmp_path / name).is_file)
    assert (tmp_path / name).read_bytes() == (run.results / name).read_bytes()
    drawn = page.value("document.querySelector('#loss polyline').getAttribute('points').split(' ').length")
    assert drawn == CYCLES


def test_a_package_without_a_frozen_backbone_has_no_page_that_teaches(
    trained: tuple[Invoked, Page], built: tuple[str, ...]
) -> None:
    files = Path(built[1]) / "package-web"
    assert (files / "index.html").is_file()
    assert not [*files.rglob("teach*")]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_and_its_parts_have_names(
    width: int, dark: bool, trained: tuple[Invoked, Page], tmp_path: Path
) -> None:
    _, page = trained
    page.resize(width)
    page.dark(on=dark)
    assert page.faults() == []
    picture = tmp_path / f"{width}.png"
    page.photograph(picture)
    assert picture.stat().st_size > 10_000


def test_a_page_that_is_paused_and_loaded_again_goes_on_from_its_last_checkpoint(
    built: tuple[str, ...], browser: Chromium, tmp_path: Path
) -> None:
    training = ("run", *built, "--cycles", str(LONG), "--save-every", "25")
    with running(tmp_path, *training, "--target", "web", "--runs", tmp_path / "runs") as task:
        page = browser.open(task.address())
        page.wait_for(f"{STEPS} >= 50")
        page.value("document.querySelector('#pause').click()")
        assert page.value("document.querySelector('#pause').textContent") == "Go on"
        made = page.value(STEPS)
        page.reload()
        page.wait_for(IS_DONE)
        run = task.ended()
    assert run.code == 0, run.stderr
    assert made < LONG
    records = read_metrics(run.results)
    went_on = next(record["step"] for record in records if record["event"] == "resume")
    assert 25 <= went_on <= made
    assert f"going on after step {went_on}, to step {LONG}" in run.stdout
    steps = [record["step"] for record in records if record["event"] == "step"]
    assert steps == list(range(1, LONG + 1))
    whole = invoke(*training, "--target", "x86", "--runs", tmp_path / "x86")
    assert losses(run.results) == pytest.approx(losses(whole.results), abs=10 * TOLERANCE)


def test_a_page_that_is_closed_ends_the_run_in_a_line_and_resume_goes_on(
    built: tuple[str, ...], browser: Chromium, tmp_path: Path
) -> None:
    there = ("--target", "web", *built[:2], "--runs", str(tmp_path / "runs"))
    with running(tmp_path, "run", *there, "--cycles", str(LONG), "--save-every", "25", "--threads", "1") as task:
        page = browser.open(task.address())
        page.wait_for(f"{STEPS} >= 50")
        page.close()
        closed = task.ended()
    assert closed.code == 8
    assert closed.stderr.splitlines()[-1].startswith("error: the page was closed, or its browser crashed")
    with running(tmp_path, "run", *there, "--resume") as task:
        page = browser.open(task.address())
        page.wait_for(IS_DONE)
        gone_on = task.ended()
    assert gone_on.code == 0, gone_on.stderr
    assert f"to step {LONG}" in gone_on.stdout
    assert len(losses(gone_on.results)) == LONG
    assert len(gone_on.accuracies) == 2


def test_ctrl_c_ends_the_run_and_tells_the_page(built: tuple[str, ...], browser: Chromium, tmp_path: Path) -> None:
    words = ("run", "--target", "web", *built, "--runs", tmp_path / "runs", "--cycles", "5000", "--save-every", "20")
    with running(tmp_path, *words) as task:
        page = browser.open(task.address())
        page.wait_for("document.querySelector('#progress')?.value > 0.01")
        task.interrupt()
        interrupted = task.ended()
        page.wait_for(f"{STATE} === 'The computer ended this.'")
        page.close()
    assert interrupted.code == 130
    last = interrupted.stderr.splitlines()[-1]
    assert "the last checkpoint is of step " in last
    assert "invoke run --resume --target web" in last


def test_trainings_and_evaluations_are_tasks_of_their_own(
    built: tuple[str, ...], browser: Chromium, tmp_path: Path
) -> None:
    build, there = Path(built[1]), ("--target", "web", *built[:2])
    with running(tmp_path, "train", *there, "--cycles", "20") as task:
        page = browser.open(task.address())
        page.wait_for(IS_DONE)
        assert task.ended().code == 0
        page.close()
    output = build / "package-web/output"
    name = "lenet_trained_20.safetensors"
    assert read_checkpoint(output / name, read_model(build / "package-web/model")).step == 20
    with running(tmp_path, "eval", *there, "--checkpoint", name) as task:
        page = browser.open(task.address())
        page.wait_for(IS_DONE)
        evaluated = task.ended()
        page.close()
    assert len(evaluated.accuracies) == 1
    pulled = invoke("pull", *there, "--runs", tmp_path / "runs")
    assert pulled.code == 0, pulled.stderr
    assert (Path(pulled.stdout.strip()) / name).read_bytes() == (output / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --verbose --while-charging", "error: --verbose and --while-charging do not work with --target web"),
        ("run --engine reference", "error: --engine reference does not run on web: use --engine lowered"),
        ("infer photo.jpg", "error: `invoke infer` does not work with --target web: leave it out, or give another one"),
        ("train --checkpoint ../x", "error: --checkpoint ../x: give the name of a file in the package's output folder"),
    ],
)
def test_what_has_no_place_in_a_browser_is_told_in_a_line(words: str, said: str, tmp_path: Path) -> None:
    told = invoke(*words.split(), "--target", "web", "--build", tmp_path)
    assert told.code == 2
    assert told.stderr.strip() == said
