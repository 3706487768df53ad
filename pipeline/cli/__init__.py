"""Reads what the user types.
Writes what they see: results on stdout, one line for an error on stderr.
Belongs here: the program: what it makes of a line before a task begins, and how it lists tasks.
"""
