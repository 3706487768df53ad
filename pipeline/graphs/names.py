"""Names of the values in which the graphs of the stages meet."""

IMAGE, FEATURES, LOGITS, LABELS, LOSS = "image", "features", "logits", "labels", "loss"
