"""Every command of the documentation, typed in its order, and what the pages say that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, Fence, as_printed, fences_of
from tests.docs.terminal import Terminal, open_terminal
from tests.emulator.device import EmulatedDevice
from tests.invoking import ROOT
from tests.pipeline.datasets.image_files import write_places
from tests.pipeline.datasets.mnist import write_mnist

# Pages that are read one after another in one folder. The first meets a device on which nothing was trained.
READ = {
    "Android": ("docs/android.md",),
    "README": ("README.md",),
    "configuration": ("docs/configuration.md",),
    "own data and model": ("docs/your-data.md", "docs/your-model.md"),
    "own loop": ("docs/your-loop.md",),
    "MindSpore": ("docs/from-mindspore.md",),
    "fleet": ("docs/fleet.md",),
}

# What may be typed: these work in the reader's folder and on the emulated device. Tests run as root, so a command of a
# page that begins with another program, as apt-get, is refused and not typed.
PROGRAMS = ("invoke", "train-on-device", "python", "adb", "mkdir", "cp", "rm", "head", "echo", "openssl", "printf")

_INSTALLS = ".ci/run does it, in an environment of its own"

_CHANGES = "it changes the machine on which the tests run"
_PHONE = "only a phone shows such an address and code"
_NODE = "tests/web_runtime does it, in a copy of the checkout"
_TEACHES = "tests/web/test_teach.py does it, in a browser, until it is interrupted"
_CPP = "tests/cpp does it, cross-compiled, with Debian's compilers in a root of their own"
_WEB = "tests/web does it, in a browser"
_LONG = "it takes many minutes: tests/pipeline/bench measures with each option, on small networks"

# What cannot be typed here, and why.
NOT_RUN = {
    "pip install -c constraints.txt .": _INSTALLS,
    "pip install -c constraints.txt '.[test]'": _INSTALLS,
    "pytest -n auto --dist loadfile": "this test is one of those",
    "WRITE_FAULTS=1 pytest tests/faults tests/test_x86.py": "these are run as tests of their own",
    "train-on-device bench --networks resnet18,vit_tiny --image-size 64 --batch-size 8 --optimizer sgd": _LONG,
    "train-on-device bench --networks all --repeats 5": _LONG,
    "train-on-device bench --model path/to/module.py:factory --rivals torch-eager,executorch,jax": _LONG,
    "apt-get update": _CHANGES,
    "apt-get install -y chromium openssl openssh-client espeak-ng nodejs npm": _CHANGES,
    "cd examples/node": _NODE,
    "npm ci": _NODE,
    "node train.js ../../build/package-x86 output --cycles 300": _NODE,
    "train-on-device package --target web --model transfer --data photos": _TEACHES,
    "train-on-device teach": _TEACHES,
    "apt-get install -y cmake g++ libonnxruntime-dev": _CHANGES,
    "cmake -S examples/cpp -B build/cpp": _CPP,
    "cmake --build build/cpp": _CPP,
    "build/cpp/train build/package-x86 trained.safetensors 300": _CPP,
    "npm ci --prefix examples/cpp": _CPP,
    "cmake -S examples/cpp -B build/cpp-arm64 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ "
    '-DONNXRUNTIME="$PWD/examples/cpp/node_modules/onnxruntime-node/bin/napi-v3/linux/arm64/libonnxruntime.so.1"': _CPP,
    "cmake --build build/cpp-arm64": _CPP,
    "train-on-device run --target web": _WEB,
    "train-on-device run --target web --data /PATH/MNIST_Data --cycles 1000": _WEB,
    "train-on-device run --target web --serial SERIAL": _WEB,
    "train-on-device run --target web --resume": _WEB,
    "adb pair 192.168.1.20:37099 123456": _PHONE,
    "adb connect 192.168.1.20:40001": _PHONE,
}

# Of a training on the emulated device: its processor is this machine's, many times slower.
_CYCLES_THERE = 5


def _typed(command: str, paths: dict[str, Path]) -> str:
    """A command as it is typed here: with real paths, and few steps and images on the emulated device."""
    for name, path in paths.items():
        command = command.replace(name, str(path))
    if not re.match(r"(invoke|train-on-device) (run|train) .*--target arm64(?!.*--resume)", command):
        return command
    few = f"{command} --cycles {_CYCLES_THERE}"
    return few if "--data" in few else f"{few} --data {paths['/PATH/MNIST_Data']}"


def _program_of(command: str) -> str:
    """The program that a command starts; of a group in parentheses, its first one."""
    words = command.lstrip("(").split()
    return next((word for word in words if not re.match(r"\w+=", word)), "")


def _type_all(terminal: Terminal, page: Path, fence: Fence, paths: dict[str, Path]) -> str:
    """Types what a fence says, and returns what it prints."""
    printed = ""
    for command in fence.commands:
        if command not in NOT_RUN:
            assert _program_of(command) in PROGRAMS, f"{page.name}:{fence.line}: {command}: not in PROGRAMS or NOT_RUN"
            code, output = terminal.type(_typed(command, paths))
            assert code == 0, f"{page.name}:{fence.line}: {command}\n{output}"
            printed += output
    return printed


def _check_printed(printed: str, page: Path, fence: Fence) -> None:
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for line in fence.text.splitlines():
        said = as_printed(line)
        assert any(said.fullmatch(other) for other in lines), f"{page.name}:{fence.line}: {line!r} is not in\n{printed}"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the pages call /PATH/…, small."""
    folder = tmp_path_factory.mktemp("paths")
    write_mnist(folder / "MNIST_Data", split_folders=True)
    write_places(
        folder / "places",
        [(f"Places365_val_{number:08}.jpg", number % 12) for number in range(96)],
        [f"/{letter}/{letter}" for letter in "abcdefghijkl"],
    )
    return {f"/PATH/{path.name}": path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("pages", READ.values(), ids=READ)
def test_commands_do_what_the_pages_say(
    pages: tuple[str, ...], paths: dict[str, Path], build_folder: Path, emulator: EmulatedDevice, tmp_path: Path
) -> None:
    terminal = open_terminal(tmp_path / "reader", build_folder, emulator)
    for page in (ROOT / name for name in pages):
        printed = ""
        for fence in fences_of(page):
            if fence.title:
                (terminal.folder / fence.title).write_text(fence.text)
            elif fence.language == "sh":
                printed = _type_all(terminal, page, fence, paths)
            elif fence.language == "text":
                assert printed, f"{page.name}:{fence.line}: of no command"
                _check_printed(printed, page, fence)


def test_every_page_with_commands_is_read() -> None:
    with_commands = {page.relative_to(ROOT).as_posix() for page in PAGES if set(_typed_in(page)) - NOT_RUN.keys()}
    assert with_commands == {name for pages in READ.values() for name in pages}


def test_no_page_types_what_changes_this_machine() -> None:
    typed = {command for page in PAGES for command in _typed_in(page)} - NOT_RUN.keys()
    assert not {command for command in typed if _program_of(command) not in PROGRAMS}


def test_a_program_that_is_not_known_is_seen() -> None:
    assert _program_of("apt-get install -y chromium openssl openssh-client espeak-ng nodejs npm") not in PROGRAMS
    assert _program_of("A=1 sudo invoke run") not in PROGRAMS
    assert _program_of("TRAIN_ON_DEVICE_KEEP=2 train-on-device config run") in PROGRAMS


def test_what_is_not_run_is_still_in_the_pages() -> None:
    assert not NOT_RUN.keys() - {command for page in PAGES for command in _typed_in(page)}


def test_a_fence_says_what_it_is() -> None:
    kinds = {(page.name, fence.line): fence.language for page in PAGES for fence in fences_of(page)}
    known = ("sh", "text", "python", "javascript", "csv", "toml", "mermaid")
    assert not {place for place, language in kinds.items() if language not in known}


def _typed_in(page: Path) -> list[str]:
    return [command for fence in fences_of(page) if fence.language == "sh" for command in fence.commands]


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("2 threads: a batch takes 1.59 ms, 1.67 on 1", True),
        ("1 thread: a batch takes 1.59 ms, 1.67 on 2", True),
        ("2 threads: a batch took 1.59 ms, 1.67 on 1", False),
        ("2 threads: a batch takes 1.59 ms", False),
    ],
)
def test_a_page_says_a_line_whatever_its_numbers(printed: str, said: bool) -> None:
    assert bool(as_printed("2 threads: a batch takes 1.11 ms, 1.66 on 1").fullmatch(printed)) is said
