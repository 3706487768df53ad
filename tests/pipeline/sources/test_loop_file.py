"""What of a loop's file is told on the host, before anything is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.sources.loop_file import loop_files
from tests.invoking import ROOT, invoke

GOOD = "def loop(run):\n    pass\n"


def write(folder: Path, text: str) -> str:
    (folder / "own.py").write_text(text)
    return str(folder / "own.py")


def test_it_comes_with_what_it_imports_beside_it(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import more.deep\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "__init__.py").write_text("")
    (tmp_path / "more" / "deep.py").write_text("from . import __name__\nimport json\n")
    (tmp_path / "other.py").write_text("import torch\n")
    found = loop_files(write(tmp_path, f"import numpy as np\nimport helper\n{GOOD}"))
    assert sorted(found) == ["loop/helper.py", "loop/more/__init__.py", "loop/more/deep.py", "loop/own.py"]
    assert found["loop/helper.py"] == b"import more.deep\n"


@pytest.mark.parametrize("name", ["reptile.py", "early_stopping.py"])
def test_the_examples_are_loops(name: str) -> None:
    assert list(loop_files(str(ROOT / "examples" / "loops" / name))) == [f"loop/{name}"]


def test_none_is_no_file() -> None:
    assert loop_files(None) == loop_files("none") == {}


@pytest.mark.parametrize(
    "imported", ["json", "os.path", "collections.abc", "hashlib", "numpy.random", "device_runtime.loop", "__future__"]
)
def test_what_a_device_has_may_be_imported(tmp_path: Path, imported: str) -> None:
    assert loop_files(write(tmp_path, f"def loop(run):\n    import {imported}\n"))


@pytest.mark.parametrize(
    "imported",
    [
        *("torch", "onnx.helper", "pipeline.run", "asyncio", "urllib.request", "sqlite3", "bz2", "importlib.metadata"),
        *("numpy.fft", "numpy.polynomial.chebyshev", "decimal", "statistics"),
    ],
)
def test_what_a_device_lacks_is_told_with_its_line(tmp_path: Path, imported: str) -> None:
    told = f"line 3 of own.py imports {imported}: a device has numpy and most of the standard library, and what lies"
    with pytest.raises(UsageError, match=re.escape(told)):
        loop_files(write(tmp_path, f"{GOOD}import {imported}\n"))


@pytest.mark.parametrize(
    ("imported", "said"),
    [
        ("from . import helper", r"line 1 of own\.py imports from \., .* as `import helper`"),
        ("from .helper import x", r"line 1 of own\.py imports from \., .* as `import helper`"),
        ("import inner", r"line 1 of part\.py imports from \.\., .* as `import helper`"),
    ],
)
def test_an_import_with_dots_that_lead_nowhere_is_refused(tmp_path: Path, imported: str, said: str) -> None:
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("from . import part\n")
    (tmp_path / "inner" / "part.py").write_text("from .. import helper\n")
    (tmp_path / "own.py").write_text(f"{imported}\n\ndef loop(run): ...\n")
    with pytest.raises(UsageError, match=said):
        loop_files(str(tmp_path / "own.py"))


def test_what_lies_beside_it_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("\nfrom torch import nn\n")
    with pytest.raises(UsageError, match=r"own\.py: line 2 of helper\.py imports torch: "):
        loop_files(write(tmp_path, f"import helper\n{GOOD}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def loop(run:\n", "line 1 of own.py: '(' was never closed"),
        ("x = 1\0", "own.py"),
        ("def train(run):\n    pass\n", "it has no function loop(run)"),
        ("def loop():\n    pass\n", "line 1: loop is called with the run alone: loop(run)"),
        ("x = 1\ndef loop(run, rate):\n    pass\n", "line 2: loop is called with the run alone: loop(run)"),
        ("def loop(run, *, rate):\n    pass\n", "line 1: loop is called with the run alone: loop(run)"),
        ("async def loop(run):\n    pass\n", "line 1: loop is async or yields: a call of it would train nothing"),
        ("def loop(run):\n    yield run\n", "line 1: loop is async or yields: a call of it would train nothing"),
    ],
)
def test_a_file_that_is_no_loop_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        loop_files(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "parameters", ["run", "run, /", "run, rate=1", "*runs", "run, *, rate=1", "run, **more", "run=None, rate=1"]
)
def test_whatever_can_be_called_with_the_run_is_a_loop(tmp_path: Path, parameters: str) -> None:
    assert loop_files(write(tmp_path, f"def loop({parameters}):\n    list(x for x in ())\n"))


def test_it_is_told_before_anything_is_built(tmp_path: Path) -> None:
    tried = invoke("run", "--loop", write(tmp_path, "import torch\n"), "--build", tmp_path / "build")
    assert (tried.code, tried.stderr) == (2, f"error: --loop {tmp_path / 'own.py'}: it has no function loop(run)\n")
    assert not list(tmp_path.glob("build/*"))
    missing = invoke("package", "--loop", tmp_path / "no.py", "--build", tmp_path / "build")
    assert (missing.code, missing.stderr) == (2, f"error: --loop {tmp_path / 'no.py'}: no such file\n")
    assert invoke("run", "--loop", "reptile").stderr.startswith(
        "error: --loop reptile: give a Python file, loop.py, or"
    )
