"""Two engines that run the same model: the lowered graphs, and onnxruntime-training as the reference."""
