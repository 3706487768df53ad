"""The operators that stand for a recurrent layer in the graphs that are lowered, forward and backward."""

from __future__ import annotations

FORWARD, BACKWARD = "Recurrent", "RecurrentGrad"
