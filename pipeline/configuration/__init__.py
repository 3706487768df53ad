"""Reads train.toml or pyproject.toml in the folder where one is, the environment, and what was typed.
Writes a train.toml to begin with, and docs/options.md.
Belongs here: a place that options come from, and what is said of all of them.
"""
