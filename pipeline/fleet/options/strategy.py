"""How the updates of a round become one model: `--strategy`."""

from __future__ import annotations

from dataclasses import dataclass

# As Flower's classes are called, in lower case, and what they are.
STRATEGIES = {
    "fedavg": "FedAvg",
    "fedavgm": "FedAvgM",
    "fedadagrad": "FedAdagrad",
    "fedadam": "FedAdam",
    "fedyogi": "FedYogi",
    "fedprox": "FedProx",
    "fedmedian": "FedMedian",
    "trimmedavg": "FedTrimmedAvg",
    "krum": "Krum",
    "multikrum": "MultiKrum",
    "bulyan": "Bulyan",
}


@dataclass(frozen=True)
class Strategy:
    """One of Flower's strategies.

    Attributes:
      name: one of `STRATEGIES`.
      options: its own, in Flower's names.
    """

    name: str = "fedavg"
    options: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        return ",".join([self.name, *(f"{name}={value!r}" for name, value in self.options)])


def parse_strategy(text: str) -> Strategy:
    """Reads `fedadam,eta=0.1`.

    Raises:
      ValueError: there is no such strategy, or an option has no number.
    """
    name, *given = text.split(",")
    if name not in STRATEGIES:
        raise ValueError(f"{', '.join(STRATEGIES)}; with options of Flower's: fedadam,eta=0.1")
    options = {}
    for option in given:
        key, _, value = option.partition("=")
        try:
            options[key.strip()] = float(value)
        except ValueError:
            raise ValueError(f"{name} with numbers for its options: {name},{key or 'option'}=0.1") from None
    return Strategy(name, tuple(options.items()))
