"""Reads a folder of the user's.
Writes the device's dataset: BMP files and dataset.json.
Belongs here: what holds for every dataset; how a folder may look is a module of `layouts/`.
"""
