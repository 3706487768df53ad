"""Reptile (Nichol, Achiam and Schulman, arXiv:1803.02999): learns a start from which few steps learn a task.

A task is some of the classes. The model learns it in a few steps, then goes back half of the way.
"""

from dataclasses import replace

import numpy as np

from device_runtime.loop import TrainingRun

CLASSES, STEPS, WAY = 5, 5, 0.5


def loop(run: TrainingRun) -> None:
    """Trains on one task after another."""
    while run.goes_on():
        random = np.random.default_rng([run.options.seed, run.step])
        batches = [run.batch(run.step + number) for number in range(1, STEPS + 1)]
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        classes = random.permutation(np.unique(labels))[:CLASSES]
        of_task = np.flatnonzero(np.isin(labels, classes))
        start, losses = run.state, []
        for _ in range(STEPS):
            chosen = random.choice(of_task, run.options.batch_size)
            losses += run.train((inputs[chosen], labels[chosen]))
        learnt = run.state
        run.state = replace(learnt, parameters=start.parameters + WAY * (learnt.parameters - start.parameters))
        if run.step % 100 == 0:
            run.log(f"{run.step}: loss from {losses[0]:.4g} to {losses[-1]:.4g} within a task")
