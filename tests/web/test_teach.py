"""The page that teaches, in a real browser, with photographs of the scenes through its file pickers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.model import read_model
from tests.invoking import invoke
from tests.web.chromium import Chromium, Page, chromium, wait_until
from tests.web.running import running

pytestmark = pytest.mark.slow

# Of each class so many photographs are taught, and others recognised.
TAUGHT, OTHERS = 20, 10
LEAST_ACCURACY = 0.8

TOLD = "document.querySelector('#told')?.textContent"
SEEN = "document.querySelector('#seen').textContent"
IS_OPEN = "document.querySelector('#room')?.textContent"
PICTURES = "document.querySelectorAll('.class .pictures li').length"
# Of each picture that was recognised: its class and all probabilities, by name.
RECOGNISED = """[...document.querySelectorAll('#results .result')].map((card) => ({
  name: card.querySelector('h3').textContent,
  shares: Object.fromEntries([...card.querySelectorAll('.bars div')].map(
    (bar) => [bar.querySelector('dt').textContent, parseFloat(bar.querySelector('dd').textContent)])),
}))"""


@pytest.fixture(scope="module")
def scenes(shared_data: Path) -> dict[str, list[Path]]:
    """Every other photograph of each class: neighbours are of one place."""
    folders = sorted((shared_data / "scenes").iterdir())
    return {folder.name: sorted(folder.glob("*.jpg"))[::2] for folder in folders}


@pytest.fixture(scope="module")
def build(scenes: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with a package whose head has ten outputs."""
    folder = tmp_path_factory.mktemp("teach")
    for name, photographs in scenes.items():
        (folder / "data" / name).mkdir(parents=True)
        for photograph in photographs[-10:]:
            shutil.copy(photograph, folder / "data" / name)
    words = ("--target", "web", "--model", "transfer", "--no-check", "--data", folder / "data")
    made = invoke("package", "--build", folder / "build", *words)
    assert made.code == 0, made.stderr
    assert "it can be taught classes of your own, in a browser: invoke teach" in made.stderr
    return folder / "build"


@pytest.fixture(scope="module")
def address(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the page, while the task serves it, which Ctrl-C ends well."""
    with running(tmp_path_factory.mktemp("task"), "teach", "--build", build) as task:
        yield f"{task.address()}teach.html"
        task.interrupt()
        assert task.ended().code == 0


@pytest.fixture(scope="module")
def taught(address: str, browser: Chromium, scenes: dict[str, list[Path]]) -> Page:
    """A page that was taught ten classes."""
    page = browser.open(address)
    page.wait_for(IS_OPEN)
    for _ in range(len(scenes) - 2):
        page.click("#add-class")
    page.wait_for(f"document.querySelectorAll('.class').length === {len(scenes)}")
    for place, (name, photographs) in enumerate(scenes.items()):
        show(page, place, name, photographs[:TAUGHT])
        page.wait_for(f"{PICTURES} === {(place + 1) * TAUGHT}")
    teach(page)
    return page


@pytest.fixture
def fresh(address: str, browser_here: str) -> Iterator[Page]:
    """A page in a browser of its own that was taught nothing; its camera shows a drawing."""
    with chromium(browser_here, "--use-fake-device-for-media-stream") as opened:
        page = opened.open(address)
        page.wait_for(IS_OPEN)
        yield page


def show(page: Page, place: int, name: str, photographs: list[Path]) -> None:
    """Names a class, and adds photographs to it."""
    card = f"document.querySelectorAll('.class')[{place}]"
    typed = f"const field = {card}.querySelector('.name input'); field.value = {json.dumps(name)}"
    page.value(f"{{ {typed}; field.dispatchEvent(new Event('change')); }}")
    page.choose(f".class:nth-child({place + 1}) input[type=file]", photographs)


def teach(page: Page) -> None:
    """Teaches what there is, and waits until it is."""
    page.wait_for("!document.querySelector('#teach').disabled")
    page.click("#teach")
    page.wait_for(f"{TOLD}.startsWith('Taught ')")


def recognised(page: Page, photographs: list[Path]) -> list[dict[str, Any]]:
    """What the page says of each photograph."""
    page.choose("#recognise", photographs)
    page.wait_for(f"document.querySelectorAll('#results .result').length === {len(photographs)}")
    page.wait_for("document.querySelector('#recognised').textContent === ''")
    found: list[dict[str, Any]] = page.value(RECOGNISED)
    return found


def allow_camera(page: Page, setting: str) -> None:
    """Answers for the user, whom the browser would ask."""
    page.browser.ask("Browser.setPermission", permission={"name": "camera"}, setting=setting)


def test_it_recognises_others_of_ten_classes(taught: Page, scenes: dict[str, list[Path]]) -> None:
    right = 0
    for name, photographs in scenes.items():
        found = recognised(taught, photographs[TAUGHT : TAUGHT + OTHERS])
        right += sum(each["name"] == name for each in found)
        assert all(each["shares"].keys() == scenes.keys() for each in found)
        assert [sum(each["shares"].values()) for each in found] == pytest.approx([100] * OTHERS, abs=1)
    accuracy = right / (OTHERS * len(scenes))
    print(f"accuracy on others: {accuracy}")
    assert accuracy >= LEAST_ACCURACY


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_and_its_parts_have_names(
    width: int, dark: bool, taught: Page, tmp_path: Path
) -> None:
    taught.resize(width)
    taught.dark(on=dark)
    assert taught.faults() == []
    taught.photograph(tmp_path / f"{width}.png")
    assert (tmp_path / f"{width}.png").stat().st_size > 10_000


def test_the_head_is_a_checkpoint_of_the_package(
    taught: Page, build: Path, scenes: dict[str, list[Path]], tmp_path: Path
) -> None:
    taught.browser.download_into(tmp_path)
    taught.click("#download")
    file = tmp_path / "transfer_trained_100.safetensors"
    wait_until(file.is_file)
    model = read_model(build / "package-web/model")
    checkpoint = read_checkpoint(file, model)
    assert (checkpoint.step, [*checkpoint.states]) == (100, ["momentum_buffer"])
    assert checkpoint.run.plan["batch_size"] == model.recipe.batch_size
    assert np.isfinite(checkpoint.parameters).all()
    with safe_open(file, framework="numpy") as opened:
        assert json.loads(opened.metadata()["classes"]) == [*scenes]


def test_what_was_taught_is_there_when_the_page_is_loaded_again(
    taught: Page, scenes: dict[str, list[Path]], build: Path
) -> None:
    photographs = scenes["coast"][TAUGHT : TAUGHT + 2]
    before = recognised(taught, photographs)
    taught.value("globalThis.isTheOneBefore = true")
    taught.reload()
    taught.wait_for(f"!globalThis.isTheOneBefore && {TOLD} === 'Taught 10 classes in 100 updates.'")
    assert taught.value(PICTURES) == TAUGHT * len(scenes)
    names = "[...document.querySelectorAll('.class .name input')].map((field) => field.value)"
    assert taught.value(names) == [*scenes]
    assert recognised(taught, photographs) == before
    # Nothing came to the program that serves it.
    assert not (build / "package-web/output").exists()


def test_outputs_that_are_not_taught_are_left_out_and_a_teaching_can_be_stopped(
    fresh: Page, scenes: dict[str, list[Path]]
) -> None:
    assert fresh.value(TOLD) == "Add photographs to at least two classes."
    for place, name in enumerate(("forest", "office")):
        show(fresh, place, name, scenes[name][:3])
    fresh.wait_for(f"{PICTURES} === 6")
    teach(fresh)
    (found,) = recognised(fresh, [scenes["office"][TAUGHT]])
    assert found["name"] == "office"
    assert found["shares"].keys() == {"forest", "office"}
    assert sum(found["shares"].values()) == pytest.approx(100, abs=0.2)

    fresh.click(".class .pictures button")
    fresh.wait_for(f"{TOLD}.startsWith('Photographs came or went since')")
    fresh.value("document.querySelector('#cycles').value = 100000")
    fresh.click("#teach")
    fresh.wait_for("document.querySelector('#progress').value > 0")
    fresh.click("#stop")
    fresh.wait_for(f"{TOLD}.startsWith('Taught 2 classes')")
    assert fresh.value(TOLD) != "Taught 2 classes in 100000 updates."

    fresh.value("document.querySelector('#rate').value = 1e39")
    fresh.click("#teach")
    fresh.wait_for(f"{TOLD}.endsWith('choose a smaller learning rate')")
    # No float32 holds that rate. The head of before is still there.
    assert recognised(fresh, [scenes["office"][TAUGHT]])[0]["name"] == "office"


def test_a_picture_that_cannot_be_read_is_named_and_all_can_be_cleared(
    fresh: Page, scenes: dict[str, list[Path]], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(scenes["coast"][0].read_bytes()[:200])
    show(fresh, 0, "coast", [broken, scenes["coast"][0]])
    fresh.wait_for(f"{SEEN}.startsWith('Left out: broken.jpg: ')")
    assert fresh.value(PICTURES) == 1
    fresh.click("#clear")
    fresh.click("#clearing button[value=clear]")
    fresh.wait_for(f"{PICTURES} === 0")
    fresh.reload()
    fresh.wait_for(f"{IS_OPEN} && {PICTURES} === 0 && document.querySelector('.name input').value === 'Class 1'")


def test_the_camera_takes_pictures_and_is_watched(fresh: Page, scenes: dict[str, list[Path]]) -> None:
    allow_camera(fresh, "denied")
    fresh.click(".class .camera")
    fresh.wait_for(f"{SEEN}.startsWith('the camera was not allowed')")
    allow_camera(fresh, "granted")
    fresh.click(".class .camera")
    fresh.wait_for("document.querySelector('.class video')?.videoWidth")
    for count in (1, 2):
        fresh.click(".class .take")
        fresh.wait_for(f"{PICTURES} === {count}")
    show(fresh, 1, "forest", scenes["forest"][:2])
    fresh.wait_for(f"{PICTURES} === 4")
    teach(fresh)
    fresh.click("#live")
    # The drawing, which is of the first class.
    fresh.wait_for("document.querySelector('#live-view h3')?.textContent === 'Class 1'")
    assert fresh.value("document.querySelectorAll('video').length") == 1
    assert fresh.faults() == []
    fresh.click("#live")
    assert fresh.value("document.querySelectorAll('video').length") == 0


def test_the_page_of_trainings_leads_there(fresh: Page, address: str) -> None:
    other = fresh.browser.open(address.removesuffix("teach.html"))
    other.wait_for("document.querySelector('#teach')?.hidden === false")
    assert other.value("document.querySelector('#teach a').href") == address


def test_a_package_without_the_page_is_told_of_in_a_line(tmp_path: Path) -> None:
    told = invoke("teach", "--build", tmp_path)
    assert told.code != 0
    (line,) = told.stderr.splitlines()
    assert "has no teach.html: run `invoke package --target web --model transfer --data FOLDER` first" in line
