"""Published networks as plain torch modules for 10 classes; each file is one `--model path.py` with its recipe."""
