"""Random numbers that are given: so that a step can be compared with torch's, both sides take the same fixed ones.

A rule of an operator that draws asks `is_calm`, and then takes these in place of what its generator gives. Dropout of
every kind, whose mask is a draw of ones, then keeps all and scales it. torch's side is `pipeline/checking/calm.py`.
"""

from __future__ import annotations

from pipeline.graphs.graph import Graph

# What each element of a uniform draw from 0 to 1, of a normal one and of one of zeros and ones (bernoulli) is.
UNIFORM, NORMAL, BERNOULLI = 0.5, 0.5, 1.0

_CALM = "random numbers are given"


def calm(g: Graph) -> None:
    """From here on, what is written into the graph draws nothing."""
    g.remember(_CALM, ())


def is_calm(g: Graph) -> bool:
    """Whether random numbers are given."""
    return g.recall_or_none(_CALM) is not None
