"""Reads the trained model of a results folder, and pictures or another dataset.
Writes what the model says of them to stdout.
Belongs here: what a finished run is used for.
"""
