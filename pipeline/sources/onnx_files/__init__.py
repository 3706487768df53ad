"""Reads an ONNX file of any age and maker.
Writes the same network in one form: float32, N×C×H×W, any batch, parameters as initializers and all else as Constants.
Belongs here: what makers of ONNX files do differently; `onnx_file.py` puts the steps in their order.
"""
