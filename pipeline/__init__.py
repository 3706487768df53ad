"""The host's side, from a model's definition to the results of a training on a target.

Read `run.py` first: it is the list of the steps. Each folder is a stage or what stages share; tests/test_layout.py
holds which of them builds on which.
"""
