"""Reads nothing.
Writes torch modules: files for `--model path/to/module.py:build`, each with a `RECIPE`.
Belongs here: another network that is only measured.
"""
