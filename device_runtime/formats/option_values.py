"""What the runner's options may be: a function for each kind of value reads its text.

Each raises ValueError with what it takes, as it stands behind "give" or "is not".
"""

from __future__ import annotations

# Of training samples, by what they are.
OF_PICTURES, OF_SOUND = ("flip", "crop"), ("shift", "noise")

# In the place of a loop's file: the runner's own.
NO_LOOP = "none"

# What torch takes as a seed.
_LARGEST = 2**63 - 1

# The runtime starts as many as it is told: a slip of the finger would freeze the device.
_MOST_THREADS = 256


def whole_number(text: str) -> int:
    """A whole number of at least 0."""
    return _at_least(text, 0)


def positive_whole_number(text: str) -> int:
    """A whole number of at least 1."""
    return _at_least(text, 1)


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ValueError(f"a whole number of at least {least}")
    return value


def loop_file(text: str) -> str:
    """A Python file, or `none`."""
    if text != NO_LOOP and not text.endswith(".py"):
        raise ValueError(f"a Python file, loop.py, or {NO_LOOP}")
    return text


def torch_seed(text: str) -> int:
    """What torch takes as a seed."""
    value = whole_number(text)
    if value > _LARGEST:
        raise ValueError(f"a whole number of at most {_LARGEST}")
    return value


def thread_count(text: str) -> int:
    """A number of threads."""
    value = positive_whole_number(text)
    if value > _MOST_THREADS:
        raise ValueError(f"at most {_MOST_THREADS} threads")
    return value


def rate(text: str) -> float:
    """A learning rate."""
    return _not_negative(text, "a learning rate")


def proximal_weight(text: str) -> float:
    """The weight of a proximal term."""
    return _not_negative(text, "a weight")


def _not_negative(text: str, what: str) -> float:
    value = number(text)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what}: a number of at least 0")
    return value


def fraction(text: str) -> float:
    """An accuracy."""
    try:
        return share(text)
    except ValueError as error:
        raise ValueError(f"an accuracy: {error}") from None


def share(text: str) -> float:
    """A part of something."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ValueError("a number above 0 and at most 1")
    return value


def augmentations(text: str) -> tuple[str, ...]:
    """Changes of pictures or of sound with commas between, or `none`."""
    if text.strip() == "none":
        return ()
    kinds = tuple(word.strip() for word in text.split(","))
    if not any(set(kinds) <= set(known) for known in (OF_PICTURES, OF_SOUND)):
        raise ValueError(f"{', '.join(OF_PICTURES)}, of sound {', '.join(OF_SOUND)}, both with a comma, or none")
    return kinds


def minutes_of(text: str) -> int:
    """Minutes from midnight of a time of day, `HH:MM`.

    Raises:
      ValueError: it is none.
    """
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError("a time of day, as 22:00")
    return int(hours) * 60 + int(minutes)


def span_of_day(text: str) -> str:
    """Two times of day with a dash between, each `HH:MM`."""
    try:
        begin, end = (minutes_of(part.strip()) for part in text.split("-"))
    except ValueError:
        begin = end = 0
    if begin == end:
        raise ValueError("two times of day, as 22:00-06:00")
    return f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"


def percent(text: str) -> int:
    """A percentage."""
    value = whole_number(text)
    if not 1 <= value <= 100:
        raise ValueError("a percentage: a whole number from 1 to 100")
    return value


def celsius(text: str) -> float:
    """A temperature in degrees Celsius."""
    value = number(text)
    if not 0 < value <= 100:
        raise ValueError("a temperature: degrees Celsius above 0 and at most 100")
    return value
