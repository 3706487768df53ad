"""What `--dp` means."""

from __future__ import annotations

import math

import pytest

from pipeline.fleet.options.privacy import Privacy, parse_privacy

# ε at δ = 1e-5 of dp-accounting 0.6.0 (Rényi), which is Flower's accountant: noise, rounds, ε. A bound from above.
RENYI = [
    (0.5, 1, 10.725509696),
    (0.5, 10, 48.801692825),
    (0.5, 100, 294.861260072),
    (1.0, 1, 4.728507067),
    (1.0, 10, 19.053597532),
    (1.0, 100, 96.116308425),
    (2.0, 1, 2.165715660),
    (2.0, 10, 8.079406222),
    (2.0, 100, 35.081754019),
]


@pytest.mark.parametrize("text", ["clip=1.5,noise=0.5", " noise=0.5 , clip=1.5"])
def test_it_is_read_in_any_order(text: str) -> None:
    assert parse_privacy(text) == Privacy(1.5, 0.5)


def test_it_is_written_as_it_is_read() -> None:
    dp = Privacy(0.1 + 0.2, 1e-9)
    assert parse_privacy(str(dp)) == dp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clip=1",
        "noise=1",
        "clip=1,noise=0",
        "clip=0,noise=1",
        "clip=-1,noise=1",
        "clip=nan,noise=1",
        "clip=inf,noise=1",
        "clip=1,clip=2",
        "clip=1,noise=1,noise=1",
        "clip=1,noise=1,seed=1",
        "clip,noise",
        "1,1",
        "clip=one,noise=1",
        "clip=1,noise=1,",
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"clip=1\.0,noise=0\.5"):
        parse_privacy(text)


@pytest.mark.parametrize(("noise", "rounds", "bound"), RENYI)
def test_epsilon_is_a_little_below_the_bound_by_renyi(noise: float, rounds: int, bound: float) -> None:
    assert 0.9 * bound < Privacy(3.0, noise).epsilon(rounds) < bound


def test_epsilon_gives_the_delta_that_was_asked_for() -> None:
    """δ as the mass by which one Gaussian exceeds exp(ε) times the other, summed over a grid."""
    epsilon, noise, step = Privacy(1.0, 1.25).epsilon(1, 1e-3), 1.25, 1e-4

    def density(value: float, mean: float) -> float:
        return math.exp(-0.5 * ((value - mean) / noise) ** 2) / (noise * math.sqrt(2 * math.pi))

    places = (number * step for number in range(-100_000, 150_000))
    excess = sum(max(0.0, density(at, 1.0) - math.exp(epsilon) * density(at, 0.0)) for at in places)
    assert excess * step == pytest.approx(1e-3, rel=1e-4)


def test_four_rounds_are_one_with_half_the_noise() -> None:
    assert Privacy(1.0, 2.0).epsilon(4) == pytest.approx(Privacy(1.0, 1.0).epsilon(1))


def test_much_noise_tells_nothing_and_little_noise_all() -> None:
    assert Privacy(1.0, 1e6).epsilon(1) < 1e-6
    assert Privacy(1.0, 1e-6).epsilon(1) == math.inf
    assert "ε is above 500 at δ = 1e-05" in Privacy(1.0, 0.1).told(1000)
    assert "ε = 46.2 at δ = 1e-05 for a device that took part in 10 rounds" in Privacy(1.0, 0.5).told(10)
