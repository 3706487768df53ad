"""Reads the export and the artifacts.
Writes the model folder (steps, model.json, untrained checkpoint), and the trained model for inference.
Belongs here: what a whole graph becomes; what one operator becomes is a function of `rules/`.
"""
