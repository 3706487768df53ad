"""What the numbers of a tensor say of where they come from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

# What is added to scores so that softmax makes 0 of them.
_MASKED = -1e4


def is_uniform(values: Floats) -> bool:
    """Whether all numbers are the same, as of most biases and scales before training."""
    return values.size > 0 and bool((values == values.flat[0]).all())


def is_mask(values: Floats) -> bool:
    """Zeros, and numbers so low that softmax makes 0 of them."""
    low = values <= _MASKED
    return bool(low.any()) and bool((low | (values == 0)).all())


def is_sinusoid(values: Floats) -> bool:
    """Sines and cosines of positions, float ...×T×D: Vaswani et al., arXiv:1706.03762."""
    table = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)
    if table.shape[0] < 2 or table.shape[1] < 2 or table.shape[1] % 2 or not (np.abs(table) <= 1).all():
        return False
    half = table.shape[1] // 2
    squares = table.astype(np.float64) ** 2
    beside, apart = squares[:, ::2] + squares[:, 1::2], squares[:, :half] + squares[:, half:]
    return any(np.allclose(sums, 1, atol=1e-4) for sums in (beside, apart))
