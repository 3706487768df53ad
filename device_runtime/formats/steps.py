"""What the gradient step, the eval step and the update step agree on with who runs them."""

from __future__ import annotations

import numpy as np

# Before the name of a parameter or a buffer: the input that takes it.
PARAMETER, BUFFER = "parameter/", "buffer/"

# Of FedProx: before a parameter's name the input with what it was when the round began, and the weight of the term.
START, PROXIMAL = "start/", "proximal_mu"

# The output that is a parameter's gradient, and what a buffer becomes.
GRADIENT, RENEWED = "gradient/", "renewed/"

# Of every session, name and value: x86 processors without VNNI add pairs of products in int8 up in 16 bits, which may
# overflow; they take a slower way then, others as before.
EXACT_INT8 = ("session.x64quantprecision", "1")


def clipped_share(share: float, square_sum: float, max_norm: float) -> float:
    """What a gradient is multiplied by instead of `share`, so that its norm is at most `max_norm`.

    As torch.nn.utils.clip_grad_norm_: × min(1, max_norm / (norm + 1e-6)).

    Args:
      share: 1 / the number of batches that it was added up of.
      square_sum: of the gradient; what is not finite is not hidden.
      max_norm: above 0.
    """
    return float(share * np.minimum(1.0, max_norm / (share * np.sqrt(square_sum) + 1e-6)))
