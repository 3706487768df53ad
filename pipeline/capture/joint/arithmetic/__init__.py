"""Reads a call of a function of torch.nn.functional that torch's exporter, or the standard, has no form of.
Writes the same in functions that have one; torch differentiates them.
Belongs here: a function that says what torch's of its name says, in the table of `mode.py`.
"""
