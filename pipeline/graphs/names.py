"""Names of the values in which the graphs of the stages meet."""

IMAGE, FEATURES, LOGITS, LABELS, LOSS = "image", "features", "logits", "labels", "loss"

# Before the name of a parameter, its gradient; before that of a buffer, what it becomes.
GRADIENT, RENEWED = "gradient/", "renewed/"

# Which nothing of a model may be called.
RESERVED = frozenset((IMAGE, FEATURES, LOGITS, LABELS, LOSS))
