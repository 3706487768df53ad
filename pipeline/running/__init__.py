"""Reads what a script of a package prints on its target.
Writes it to the terminal, and how far a training is below it.
Belongs here: what a user sees while a target works.
"""
