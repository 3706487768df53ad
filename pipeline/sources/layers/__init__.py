"""Reads nothing.
Writes torch modules for models, the project's and the user's: what stands before or between what trains.
Belongs here: another such layer: one file.
"""
