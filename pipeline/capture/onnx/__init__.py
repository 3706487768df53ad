"""Reads the export.
Writes onnxruntime-training's artifacts: differentiable.onnx, training_model.onnx, eval_model.onnx.
Belongs here: an operator that it does not differentiate (`rewrite.py`), or wrongly (`corrections.py`).
"""
