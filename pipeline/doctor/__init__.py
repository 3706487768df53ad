"""Reads what this machine and its devices say of themselves.
Writes a table; `clean` removes what runs left.
Belongs here: another thing that a run needs: a function that gives a `Finding`.
"""
