"""The functions of tensors that models use, by their names in torch."""

from __future__ import annotations

from collections.abc import Mapping

from tests.sweep.case import Case, factory_of
from tests.sweep.tensors_complex import COMPLEX
from tests.sweep.tensors_matrix import MATRIX
from tests.sweep.tensors_moved import MOVED
from tests.sweep.tensors_pointwise import POINTWISE
from tests.sweep.tensors_reduced import REDUCED

KINDS: Mapping[str, Mapping[str, Case]] = {
    "element by element": POINTWISE,
    "reductions and order": REDUCED,
    "shapes, parts and indices": MOVED,
    "matrices": MATRIX,
    "complex numbers and Fourier transforms": COMPLEX,
}
TENSORS: dict[str, Case] = {name: case for cases in KINDS.values() for name, case in cases.items()}

__getattr__ = factory_of(TENSORS)
