"""What runs on the device: the standard library, numpy, onnxruntime and safetensors, nothing of the host side."""
