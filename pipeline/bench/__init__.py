"""`invoke bench`: the lowered engine beside its rivals, in one run."""
