"""Names of the values in which the graphs of the stages meet."""

IMAGE, FEATURES, LOGITS, LABELS, LOSS = "image", "features", "logits", "labels", "loss"

# Which nothing of a model may be called.
RESERVED = frozenset((IMAGE, FEATURES, LOGITS, LABELS, LOSS))
