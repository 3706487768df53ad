"""Every layer and function of torch that models use: each trains as torch trains it, or is refused by name.

`layers.py`, `functions.py`, `tensors.py` and `as_written.py` have the cases, `table.py` writes docs/operators.md's
table of them.
"""
