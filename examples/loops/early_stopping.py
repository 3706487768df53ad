"""Trains until several evaluations in a row were no better than the best before."""

from device_runtime.loop import TrainingRun

EVERY, PATIENCE = 50, 3


def loop(run: TrainingRun) -> None:
    """Looks first and trains then: one that is resumed after its last evaluation stops again."""
    while run.goes_on():
        if run.step and run.step % EVERY == 0:
            found = run.evaluate()
            run.log(f"{run.step}: {found.measure} {found.score:.4g} on {found.split} data")
            run.save()
            if found.since_best >= PATIENCE:
                break
        run.train(run.batch())
