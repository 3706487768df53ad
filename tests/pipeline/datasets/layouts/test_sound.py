"""A folder of recordings for each class becomes a dataset of seconds, as Speech Commands' users expect."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.sample import Sample
from pipeline.datasets.convert import ConvertOptions, convert, look_at
from pipeline.datasets.layouts import find
from pipeline.errors import DatasetError, UsageError

Lines = list[str]

ALL = ConvertOptions()


def write(path: Path, level: int, length: int = 16000, rate: int = 16000) -> Path:
    """A recording of one number, by which it is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(length, level, np.int16), rate)
    return path


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Three words of ten speakers, each twice; a word's and speaker's number is in every sample."""
    for label, word in enumerate(("down", "go", "up")):
        for speaker in range(10):
            for number in range(2):
                write(tmp_path / "words" / word / f"{speaker:08x}_nohash_{number}.wav", 1000 * label + speaker)
    return tmp_path / "words"


def converted(source: Path, build: Path, options: ConvertOptions = ALL) -> tuple[Dataset, Lines]:
    lines: Lines = []
    return load_dataset(convert(source, build, options, on_warning=lines.append)), lines


def levels(dataset: Dataset, split: str) -> list[int]:
    """The number of each recording of a split, which is of its class."""
    x, y = dataset.splits[split].batch(np.arange(len(dataset.splits[split])))
    assert (x == x[:, :1]).all()
    np.testing.assert_array_equal(x[:, 0] // 1000, y)
    return [int(level) for level in x[:, 0]]


def test_a_folder_is_a_class_and_a_recording_a_row(words: Path, tmp_path: Path) -> None:
    dataset, lines = converted(words, tmp_path / "build")
    assert dataset.classes == ("down", "go", "up")
    assert dataset.description.sample == Sample("int16", (16000,))
    assert dataset.noise is None
    assert not lines
    found = sorted(level for split in dataset.splits for level in levels(dataset, split))
    assert found == sorted([1000 * label + speaker for label in range(3) for speaker in range(10)] * 2)


def test_a_speaker_is_in_one_split_whatever_is_said(words: Path, tmp_path: Path) -> None:
    dataset, _ = converted(words, tmp_path / "build")
    speakers = {split: {level % 1000 for level in levels(dataset, split)} for split in dataset.splits}
    assert sorted(number for split in speakers.values() for number in split) == list(range(10))
    assert {split: len(found) for split, found in speakers.items()} == {"train": 6, "test": 2, "validation": 2}


def test_other_names_are_split_as_photographs_are(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for number in range(10):
            write(tmp_path / "words" / word / f"take {number}.wav", number)
    description = look_at(tmp_path / "words").description
    assert description.arrays == {"train": 12, "test": 4, "validation": 4}


def test_lists_say_what_is_not_trained_on(words: Path, tmp_path: Path) -> None:
    (words / "testing_list.txt").write_text(
        "".join(f"{w}/00000003_nohash_{n}.wav\n" for w in ("go", "up") for n in (0, 1))
    )
    (words / "validation_list.txt").write_text("down\\00000005_nohash_0.wav\r\nbird/00000001_nohash_0.wav\r\n")
    dataset, lines = converted(words, tmp_path / "build")
    # A speaker of whom a list names one recording is there with all.
    assert {level % 1000 for level in levels(dataset, "test")} == {3}
    assert {level % 1000 for level in levels(dataset, "validation")} == {5}
    assert len(levels(dataset, "train")) == 48
    assert not lines


def test_of_one_list_the_rest_is_split(words: Path) -> None:
    (words / "testing_list.txt").write_text("go/00000003_nohash_0.wav\n")
    counts = look_at(words).description.arrays
    assert counts["test"] == 6
    assert counts["validation"] in (12, 18)


def test_wrong_names_in_a_list_are_told(words: Path, tmp_path: Path) -> None:
    names = ["go/00000003_nohash_0.wav", "go/nobody.wav", "../../etc/passwd", "/etc/passwd", "go", "x\0y", "\x1b[31m"]
    (words / "testing_list.txt").write_text("\n".join(names))
    _, lines = converted(words, tmp_path / "build")
    assert lines == ["testing_list.txt names 4 files that are not there: go/nobody.wav, go, x\\x00y, and 1 more"]


def test_a_list_of_nothing_that_is_here_is_told(words: Path, tmp_path: Path) -> None:
    (words / "testing_list.txt").write_text(f"{words}/go/00000003_nohash_0.wav\n")
    _, lines = converted(words, tmp_path / "build")
    assert [line.startswith("testing_list.txt names 1 files that are not there") for line in lines] == [True]


def test_folders_of_splits_are_told_of_the_lists(words: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for split in ("train", "test"):
        shutil.copytree(words, tmp_path / "all" / split)
    with pytest.raises(DatasetError, match=r"has recordings in test/ and train/: .*testing_list\.txt$"):
        look_at(tmp_path / "all")


def test_a_recording_in_both_lists_is_refused(words: Path) -> None:
    for name in ("testing_list.txt", "validation_list.txt"):
        (words / name).write_text("go/00000003_nohash_0.wav\n")
    with pytest.raises(DatasetError, match=r"both name go/00000003_nohash_0\.wav: leave one"):
        look_at(words)


def test_background_noise_is_no_class_and_is_kept_in_seconds(words: Path, tmp_path: Path) -> None:
    write(words / "_background_noise_" / "hum.wav", 7, 2 * 16000 + 500)
    write(words / "_background_noise_" / "rain.wav", 9, 8000)
    (words / "_background_noise_" / "README.md").write_text("noise")
    (words / "_background_noise_" / "broken.wav").write_bytes(b"")
    dataset, lines = converted(words, tmp_path / "build")
    assert dataset.classes == ("down", "go", "up")
    assert dataset.noise is not None
    noise = dataset.noise.rows(np.arange(dataset.noise.shape[0]))
    assert noise.shape == (3, 16000)
    assert (noise[:2] == 7).all() and (noise[2, :8000] == 9).all() and not noise[2, 8000:].any()
    (line,) = lines
    assert line.startswith("left out: noise 1 (_background_noise_/broken.wav cannot be read (")


def test_what_was_changed_or_cut_is_told(words: Path, tmp_path: Path) -> None:
    for label, word in enumerate(("down", "go", "up")):
        write(words / word / "long.wav", 1000 * label, 70000)
    soundfile.write(words / "go" / "stereo.flac", np.zeros((8000, 2)), 48000)
    (words / "go" / "notes.txt").write_text("")
    write(words / "lost.wav", 0)
    (words / "README.md").write_text("")
    _, lines = converted(words, tmp_path / "build")
    assert lines == [
        "left out: files that are no recordings 1 (go/notes.txt); "
        "recordings outside of every class's folder 1 (lost.wav)",
        "1 recordings are one channel of 16 bits at 16 kHz now, which they were not",
        "3 recordings are longer than a second: the first one is taken",
    ]


def test_classes_can_be_chosen(words: Path, tmp_path: Path) -> None:
    dataset, _ = converted(words, tmp_path / "build", ConvertOptions(classes=("up", "down")))
    assert dataset.classes == ("up", "down")
    with pytest.raises(UsageError, match="has no class 'left'"):
        look_at(words, ConvertOptions(classes=("left", "up")))


def test_one_of_many_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for number in range(60):
            write(tmp_path / "words" / word / f"{number}.wav", 1, 100)
    (tmp_path / "words" / "no" / "7.wav").write_bytes(b"RIFF")
    dataset, lines = converted(tmp_path / "words", tmp_path / "build")
    assert sum(dataset.description.arrays.values()) == 119
    assert lines[0].startswith("left out: damaged 1 (no/7.wav cannot be read (")


def test_many_damaged_ones_are_refused_by_name(words: Path) -> None:
    (words / "go" / "a.wav").write_bytes(b"")
    (words / "up" / "\x1b[31m.wav").write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"2 of 62 recordings are broken, more than 1%: go/a\.wav cannot be read"
    ) as raised:
        look_at(words)
    assert "\x1b" not in str(raised.value)


def test_an_empty_class_is_refused(words: Path) -> None:
    (words / "left").mkdir()
    with pytest.raises(
        DatasetError, match="no usable recording to train on of left: add some, or name the other classes"
    ):
        look_at(words)


def test_one_speaker_leaves_none_to_test_with(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for number in range(5):
            write(tmp_path / "words" / word / f"me_nohash_{number}.wav", 1)
    with pytest.raises(DatasetError, match="10 recordings leave none to test with: add some, of other speakers"):
        look_at(tmp_path / "words")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "words" / "no" / "a.wav", 1)
    with pytest.raises(DatasetError, match="training needs at least two classes"):
        look_at(tmp_path / "words")


def test_everything_may_lie_a_folder_deeper(words: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    words.rename(tmp_path / "outer" / "inner")
    found = find(tmp_path / "outer")
    assert found.classes == ("down", "go", "up")
    assert found.told == ("everything lies in inner/ there",)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_of_any_bytes_are_read(words: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(words) + b"/\xff \n"))
    for number in range(4):
        write(tmp_path / f"{number}.wav", 3000 + number)
        folder.mkdir(exist_ok=True)
        (tmp_path / f"{number}.wav").rename(folder / os.fsdecode(b"\xfe$(x)%d.wav" % number))
    dataset, _ = converted(words, tmp_path / "build")
    assert len(dataset.classes) == 4
    assert sum(level >= 3000 for split in dataset.splits for level in levels(dataset, split)) == 4


def test_without_its_libraries_a_line_says_what_to_install(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(DatasetError, match="read with soundfile and soxr: `pip install soundfile soxr`"):
        look_at(words)


def test_checking_says_what_converting_says(words: Path, tmp_path: Path) -> None:
    write(words / "go" / "long.wav", 1000, 70000)
    dataset, lines = converted(words, tmp_path / "build")
    looked = look_at(words)
    assert looked.description == dataset.description
    assert list(looked.account.told) == lines
