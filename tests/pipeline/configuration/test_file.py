"""What is read of train.toml and pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.file import file_options
from pipeline.errors import UsageError
from tests.docs.pages import fences_of
from tests.invoking import ROOT


def read(folder: Path, text: str, name: str = "train.toml") -> dict[str, object]:
    """Values by name, with the task before it where they stand in its table."""
    (folder / name).write_text(text)
    return {f"{given.task}.{given.name}".lstrip("."): given.value for given in file_options(folder)}


def test_each_kind_of_option_has_its_kind_of_value(tmp_path: Path) -> None:
    text = """
cycles = 300
learning-rate = 1
label-smoothing = 0.1
while-charging = true
verbose = false
augment = ["flip", "crop"]
classes = ["a, b", "c", 7]
trainable = "head"
background = "white"
data = "photographs"
resume = true
[bench]
data = "others"
"""
    assert read(tmp_path, text) == {
        "cycles": 300,
        "learning_rate": 1.0,
        "label_smoothing": 0.1,
        "while_charging": True,
        "verbose": False,
        "augment": ("flip", "crop"),
        "classes": ("a, b", "c", "7"),
        "trainable": ("head.*",),
        "background": (255, 255, 255),
        "data": Path("photographs"),
        "resume": "",
        "bench.data": Path("others"),
    }


def test_a_table_of_pyproject_is_read_as_well(tmp_path: Path) -> None:
    text = '[tool.train-on-device]\ncycles = 3\n[tool.train-on-device.bench]\nrepeats = 2\n[tool.other]\ncycles = "x"\n'
    assert read(tmp_path, text, "pyproject.toml") == {"cycles": 3, "bench.repeats": 2}
    assert [given.origin for given in file_options(tmp_path)] == ["pyproject.toml:2", "pyproject.toml:4"]


@pytest.mark.parametrize("text", ["", "# train-on-device = ", "[tool.other]\nx = 1\n", "broken = of another tool"])
def test_another_projects_file_says_nothing(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text, "pyproject.toml") == {}


def test_another_projects_file_may_be_in_any_encoding(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.other]\nname = '\xe9'\n")
    assert file_options(tmp_path) == ()


def test_a_folder_without_a_file_says_nothing(tmp_path: Path) -> None:
    assert file_options(tmp_path) == ()


def test_each_value_knows_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text('# cycles = 1\ncycles = 2\n\n[ bench ]\n"repeats"=3\ncycles-not = """\n"""\n')
    with pytest.raises(UsageError, match="cycles-not"):
        file_options(tmp_path)
    (tmp_path / "train.toml").write_text('# cycles = 1\ncycles = 2\nbench.seconds = 1.5\n[ bench ]\n"repeats"=3\n')
    with pytest.raises(UsageError, match=r"train\.toml: .*line 4"):
        file_options(tmp_path)
    (tmp_path / "train.toml").write_text('# x\u2028y\ncycles = 2\nconvert.check = true\n[ bench ]\n"repeats"=3\n')
    origins = {given.name: given.origin for given in file_options(tmp_path)}
    assert origins == {"cycles": "train.toml:2", "check": "train.toml", "repeats": "train.toml:5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cycels = 3", "train.toml: cycels is no option: did you mean cycles?"),
        ("learning_rate = 1", "train.toml: learning_rate is no option: did you mean learning-rate?"),
        ("zzz = 3", "train.toml: zzz is no option"),
        ("paths = ['a']", "train.toml: paths is no option"),
        ("[benhc]\nrepeats = 3", "train.toml: [benhc] is no task that takes options: did you mean bench?"),
        ("[bench]\nrepeat = 3", "train.toml: [bench] repeat is no option of bench: did you mean repeats?"),
        ("[bench]\ncycles = 3", "train.toml: [bench] cycles is no option of bench"),
        ("bench = 3", "train.toml: bench is a task: its options stand below [bench]"),
        ("[cycles]\nx = 1", "train.toml: cycles is an option and no table: write cycles = VALUE, above all tables"),
        ("data.x = 1", "train.toml: data is an option and no table"),
        ("[[bench]]\nrepeats = 3", "train.toml: bench is a list: options of that task stand below [bench]"),
        ("[config]\ncycles = 3", "train.toml: [config] is no task that takes options"),
        ("[tool.train-on-device]\ncycles = 3", "train.toml: [tool.train-on-device] stands in pyproject.toml"),
        ("cycles = 'many'", 'train.toml: cycles = "many": give a whole number, without quotes'),
        ("cycles = '3'", 'train.toml: cycles = "3": give a whole number, without quotes'),
        ("cycles = 3.5", "train.toml: cycles = 3.5: give a whole number"),
        ("cycles = true", "train.toml: cycles = true: give a whole number"),
        ("cycles = -3", "train.toml: cycles = -3: give a whole number of at least 0"),
        ("learning-rate = '1'", 'train.toml: learning-rate = "1": give a number, without quotes'),
        ("learning-rate = nan", "train.toml: learning-rate = nan: give a learning rate"),
        ("verbose = 'yes'", 'train.toml: verbose = "yes": give true or false'),
        ("verbose = 1", "train.toml: verbose = 1: give true or false"),
        ("model = 3", "train.toml: model = 3: give a text in quotes"),
        ("model = ['lenet']", 'train.toml: model = ["lenet"]: give a text in quotes'),
        ("data = ''", 'train.toml: data = "": give a value: folder with the dataset'),
        ("augment = []", 'train.toml: augment = []: give a text in quotes, or a list: ["one", "two"]'),
        ("augment = ['flip', 3.5]", 'train.toml: augment = ["flip", 3.5]: give a text in quotes, or a list'),
        ("augment = ['flip', 'turn']", 'train.toml: augment = ["flip", "turn"]: give flip, crop, of sound'),
        ("schedule = 'zigzag'", 'train.toml: schedule = "zigzag": give constant, step or cosine'),
        ("target = 'x87'", "train.toml: unknown target 'x87'"),
        ("between = 22:00:00", "train.toml: between = 22:00:00: give a text in quotes"),
        ("resume = 3", "train.toml: resume = 3: give a text in quotes, or true"),
        ("resume = false", "train.toml: resume = false: give a text in quotes, or true"),
        ("cycles = ", "train.toml: Invalid value (at line 1)"),
        ("[bench]]", "train.toml: Expected newline or end of document after a statement (at line 1, column 8)"),
        ("cycles = " + "9" * 5000, "train.toml: Exceeds the limit"),
        ("cycles = " + "[" * 5000, "train.toml: it is nested too deep"),
        ("classes = '\"cat'", 'train.toml: classes = "\\"cat": give names with commas between'),
        ("cycles = 1\ncycles = 2", "train.toml: Cannot overwrite a value (at line 2)"),
        ("cycles = 1\nmodel = 'caf\udce9'", "train.toml:2: that is not UTF-8, as TOML is"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as error:
        file_options(tmp_path)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_bytes(b"\xef\xbb\xbfcycles = 3\r\n[bench]\r\nrepeats = 2\r\n")
    assert [(given.value, given.origin) for given in file_options(tmp_path)] == [
        (3, "train.toml:1"),
        (2, "train.toml:3"),
    ]


def test_what_is_no_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "train.toml").mkdir()
    with pytest.raises(UsageError, match=r"train\.toml is no file that can be read: move it away"):
        file_options(tmp_path)
    (tmp_path / "train.toml").rmdir()
    (tmp_path / "train.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"train\.toml is no file"):
        file_options(tmp_path)


def test_options_in_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.toml").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.train-on-device]\n")
    with pytest.raises(UsageError, match=r"both hold options: keep them in one of the two"):
        file_options(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.train_on_device]", r"\[tool\.train_on_device\] is not read: write \[tool\.train-on-device\]"),
        ("[tool]\ntrain-on-device = 3", "tool.train-on-device is no table"),
        ("[tool.train-on-device]\ncycles = ", r"pyproject\.toml: Invalid value"),
        ("[tool.train-on-device]\ncycels = 1", r"pyproject\.toml: cycels is no option: did you mean cycles\?"),
    ],
)
def test_errors_name_pyproject_where_it_has_the_options(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        file_options(tmp_path)


def test_the_files_that_the_documentation_shows_are_read(tmp_path: Path) -> None:
    files = [fence.text for fence in fences_of(ROOT / "docs" / "configuration.md") if fence.title == "train.toml"]
    assert len(files) == 2
    assert all(read(tmp_path, file) for file in files)
