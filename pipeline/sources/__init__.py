"""Reads what `--model` names: a model of the project, a Python file, an ONNX file of any opset.
Writes nothing: it hands on modules and graphs.
Belongs here: another kind of place that a model comes from; a model of the project is a file of `models/`.
"""
