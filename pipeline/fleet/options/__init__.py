"""Reads what a user types about a fleet: its devices, strategy, partition and rounds.
Writes nothing.
Belongs here: an option of `invoke fleet`, in `declared.py`, and how its value is read.
"""
