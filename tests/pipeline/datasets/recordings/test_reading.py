"""Recordings of any kind become seconds of 16 bits at 16 kHz, and damaged ones are refused by name."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from pipeline.datasets.recordings.reading import SECOND, BrokenRecordingError, read_recording

TONE_HZ = 440


def tone(rate: int, seconds: float = 1.0) -> npt.NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(int(rate * seconds)) / rate)


def written(path: Path, sound: npt.NDArray[Any], rate: int = 16000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, sound, rate, subtype)
    return path


def header(rate: int = 16000, channels: int = 1, claimed: int = 8, content: bytes = b"\0" * 8) -> bytes:
    """A WAV of 16 bits whose header may say what it likes."""
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate * channels % 2**32, 2 * channels, 16)
    data = struct.pack("<4sI", b"data", claimed) + content
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunk) + len(data), b"WAVE") + chunk + data


def test_what_is_16_bits_at_16_khz_stays_to_the_bit(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).integers(-(2**15), 2**15, SECOND, np.int16)
    found = read_recording(written(tmp_path / "a.wav", sound))
    np.testing.assert_array_equal(found.seconds, sound[None])
    assert found.is_as_it_was and not found.is_longer


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_tone_is_the_same_tone_at_any_rate(rate: int, tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / "a.wav", tone(rate), rate)).seconds[0] / 2**15
    np.testing.assert_allclose(found[200:-200], tone(16000)[200:-200], atol=2e-3)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        *(
            ("wav", "PCM_U8"),
            ("wav", "PCM_24"),
            ("wav", "PCM_32"),
            ("wav", "FLOAT"),
            ("wav", "DOUBLE"),
            ("wav", "ULAW"),
        ),
        *(("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("aiff", "PCM_16"), ("mp3", "MPEG_LAYER_III")),
    ],
)
def test_any_depth_and_format_is_read(suffix: str, subtype: str, tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / f"a.{suffix}", tone(16000), 16000, subtype))
    spectrum = np.abs(np.fft.rfft(found.seconds[0] / 2**15))
    assert np.argmax(spectrum) == TONE_HZ
    assert np.sqrt(np.mean((found.seconds[0] / 2**15) ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_eight_channels_become_their_mean(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, (SECOND, 8))
    found = read_recording(written(tmp_path / "a.wav", sound))
    np.testing.assert_allclose(found.seconds[0] / 2**15, sound.mean(axis=1), atol=1e-4)
    assert not found.is_as_it_was


@pytest.mark.parametrize(("samples", "rate"), [(1, 16000), (1, 44100), (5000, 16000), (3, 8000)])
def test_behind_the_end_of_a_short_one_is_silence(samples: int, rate: int, tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / "a.wav", np.full(samples, 0.25), rate)).seconds
    assert found.shape == (1, SECOND)
    assert not found[0, samples * 16000 // rate + 1 :].any()


def test_of_a_long_one_the_first_second_is_taken(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).integers(-100, 100, 3 * SECOND + 7, np.int16)
    path = written(tmp_path / "a.wav", sound)
    found = read_recording(path)
    assert found.is_longer
    np.testing.assert_array_equal(found.seconds[0], sound[:SECOND])
    np.testing.assert_array_equal(read_recording(path, 60).seconds, sound[: 3 * SECOND].reshape(3, SECOND))
    np.testing.assert_array_equal(read_recording(path, 2).seconds, sound[: 2 * SECOND].reshape(2, SECOND))


def test_no_more_than_the_second_is_read_of_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    size = 3600 * 44100 * 2
    path.write_bytes(header(44100, claimed=size, content=b""))
    with path.open("r+b") as file:
        file.truncate(44 + size)
    read_recording(path)
    tracemalloc.start()
    assert read_recording(path).is_longer
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 2**20


def test_what_is_too_loud_is_cut(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / "a.wav", np.array([2.0, -2.0]), subtype="FLOAT")).seconds
    assert found[0, :2].tolist() == [32767, -32768]


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cannot be read"),
    "no sample": (header(claimed=0, content=b""), "has no sample"),
    "cut in its header": (header()[:30], "cannot be read"),
    "no recording": (b"<html>Not found</html>" * 10, "cannot be read"),
    "zeros": (bytes(1000), "cannot be read"),
    "no rate": (header(rate=0), "cannot be read|says that it has 0 samples a second"),
    "a rate beyond any": (header(rate=2**31 - 1), r"cannot be read|says that it has 2,147,483,647 samples a second"),
    "channels beyond any": (header(channels=500, claimed=1000, content=b"\0" * 1000), "says that it has 500 channels"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name: str, tmp_path: Path) -> None:
    content, reason = DAMAGED[name]
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BrokenRecordingError, match=reason):
        read_recording(tmp_path / "a.wav")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_number_is_named(number: float, tmp_path: Path) -> None:
    sound = tone(16000)
    sound[100] = number
    with pytest.raises(BrokenRecordingError, match="holds NaN or infinite numbers"):
        read_recording(written(tmp_path / "a.wav", sound, subtype="DOUBLE"))


def test_a_header_that_says_more_than_there_is_gives_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(header(claimed=2**32 - 1, content=struct.pack("<4h", 1, 2, 3, 4)))
    assert read_recording(tmp_path / "a.wav").seconds[0, :5].tolist() == [1, 2, 3, 4, 0]
