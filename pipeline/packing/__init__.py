"""Reads the pins in packaging/, the model folder, the dataset.
Writes the runtime folder, and the package with its manifest.
Belongs here: what travels to a target, and how small it is.
"""
