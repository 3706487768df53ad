"""Reads a model.
Writes the export: forward.onnx, preprocess.onnx and, where a first part is frozen, that part and the rest.
Belongs here: what a graph says for training (preprocessing, loss, shapes, what is frozen).
"""
