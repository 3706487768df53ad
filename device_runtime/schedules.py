"""Learning rates as a function of the step."""

from __future__ import annotations

import math

# Of torch.optim.lr_scheduler.StepLR: the rate falls to a tenth each third of the training.
_STEPS, _GAMMA = 3, 0.1


def learning_rate_at(step: int, *, base: float, schedule: str, cycles: int, warmup: int) -> float:
    """The learning rate of update `step`.

    Args:
      step: number of the update within the schedule, from 1; beyond its end the rate stays what it was there.
      base: the learning rate after the warm-up.
      schedule: `constant`; `step`, a tenth after each third; `cosine`, half a cosine down to 0 (Loshchilov and Hutter,
        arXiv:1608.03983, without restarts).
      cycles: number of updates of the whole schedule.
      warmup: updates over which the rate rises linearly to `base`.
    """
    if step <= warmup:
        return base * step / warmup
    progress = (min(step, cycles) - 1 - warmup) / max(cycles - warmup, 1)
    if schedule == "step":
        return float(base * _GAMMA ** math.floor(progress * _STEPS))
    if schedule == "cosine":
        return base * 0.5 * (1 + math.cos(math.pi * progress))
    return base
