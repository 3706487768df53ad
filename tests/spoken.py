"""Key words as many voices say them, by Debian's espeak-ng: a folder as Speech Commands is one."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "seven", "marvin")

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029")

# Of espeak-ng's own timbres some are only heard in the end; those with names, which others made, are all trained on.
TESTED, VALIDATED = ("m3", "m7", "f2", "f5"), ("m5", "f3")
TRAINED = (
    *("m1", "m2", "m4", "m6", "m8", "f1", "f4", "adam", "Alex", "Alicia", "Andrea", "Andy", "belinda", "boris"),
    *("david", "ed", "grandma", "grandpa", "john", "linda", "marcelo", "max", "michael", "mike", "paul", "quincy"),
    *("rob", "robert", "sandro", "steph", "steph2", "travis", "victor", "zac"),
)

# Of one voice and word: words a minute, and a pitch of 0 to 99.
MANNERS = ((140, 40), (175, 60))

RATE = 22050


def write_spoken(folder: Path) -> Path:
    """Writes `<word>/<voice>_nohash_<number>.wav`, each with some noise, the lists, and recordings of noise.

    A voice is a timbre with one of the accents: nobody who is tested with sounds like one who is trained on.
    """
    assert shutil.which("espeak-ng"), "no voices: apt-get install espeak-ng"
    timbres = (*TRAINED, *VALIDATED, *TESTED)
    voices = {timbre: f"{ACCENTS[place % len(ACCENTS)]}+{timbre}" for place, timbre in enumerate(timbres)}
    cases = [(word, timbre, number) for word in WORDS for timbre in timbres for number in range(len(MANNERS))]
    with ThreadPoolExecutor(2) as pool:
        spoken = pool.map(lambda case: _say(case[0], voices[case[1]], *MANNERS[case[2]]), cases)
    random = np.random.default_rng(0)
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for (word, timbre, number), sound in zip(cases, spoken, strict=True):
        name = f"{word}/{voices[timbre]}_nohash_{number}.wav"
        (folder / word).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, _in_a_room(sound, random), RATE)
        if timbre not in TRAINED:
            lists["testing_list.txt" if timbre in TESTED else "validation_list.txt"].append(name)
    for file, names in lists.items():
        (folder / file).write_text("\n".join(names))
    (folder / "_background_noise_").mkdir()
    for name, noise in _noises(random):
        soundfile.write(folder / "_background_noise_" / f"{name}.wav", noise, 16000)
    return folder


def _say(word: str, voice: str, speed: int, pitch: int) -> npt.NDArray[np.float64]:
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    sound: npt.NDArray[np.float64] = soundfile.read(io.BytesIO(done.stdout))[0]
    return sound


def _in_a_room(sound: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """A second with the word somewhere in it, loud or soft, over noise of 10 to 30 dB less."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    sound = sound[loud[0] : loud[-1] + 1][:RATE]
    sound = sound / np.sqrt(np.mean(sound**2))
    second = np.zeros(RATE)
    first = random.integers(0, RATE - len(sound) + 1)
    second[first : first + len(sound)] = sound
    second += 10 ** (-random.uniform(10, 30) / 20) * _coloured(RATE, random.uniform(0, 1), random)
    return np.clip(second * random.uniform(0.03, 0.15), -1, 1)


def _coloured(length: int, colour: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise whose power falls with frequency: white at 0, pink at 1."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** (colour / 2)
    noise = np.fft.irfft(spectrum, length)
    coloured: npt.NDArray[np.float64] = noise / np.sqrt(np.mean(noise**2))
    return coloured


def _noises(random: np.random.Generator) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    for name, colour in (("white", 0.0), ("pink", 1.0)):
        yield name, 0.1 * _coloured(10 * 16000, colour, random)
