"""Networks that are only measured: files for `--model path/to/module.py:build`, each with a `RECIPE`."""
