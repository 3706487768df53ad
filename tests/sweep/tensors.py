"""The functions of tensors that models use, by their names in torch."""

from __future__ import annotations

from tests.sweep.case import Case, factory_of
from tests.sweep.tensors_complex import COMPLEX
from tests.sweep.tensors_matrix import MATRIX
from tests.sweep.tensors_moved import MOVED
from tests.sweep.tensors_pointwise import POINTWISE
from tests.sweep.tensors_reduced import REDUCED

TENSORS: dict[str, Case] = {**POINTWISE, **REDUCED, **MOVED, **MATRIX, **COMPLEX}

__getattr__ = factory_of(TENSORS)
