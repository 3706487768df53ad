"""Reads a torch module.
Writes its training graph (loss, gradients, renewed buffers) and its evaluation graph, both by torch's own joint graph.
Belongs here: what torch means by a module; what an ATen operator becomes is a function of `operators/`.
"""
