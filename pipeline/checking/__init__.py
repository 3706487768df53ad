"""Reads the export, the artifacts, the model folder, the model's own definition and a few images of the dataset.
Writes check.json: how far the lowered graphs are from torch, or from the user's ONNX file; refuses what is too far.
Belongs here: another thing that is compared, and how a difference is told and where it begins.
"""
