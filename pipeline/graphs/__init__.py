"""Reads ONNX graphs.
Writes ONNX graphs, under construction or changed in place.
Belongs here: what several stages need to know of a graph, and nothing that knows of gradients or devices.
"""
