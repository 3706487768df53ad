"""Sums over the rows of a matrix as products with ones, which the runtime takes in one pass on all threads."""

from __future__ import annotations

from pipeline.graphs.graph import Graph, Shape, Value


def sum_of_rows(g: Graph, matrix: Value, rows: Shape) -> Value:
    """The sum of all rows of a float32 matrix R×C, as 1×C.

    Args:
      g: takes the nodes.
      matrix: the addends.
      rows: the sizes of which R is the product.
    """
    return g.op("MatMul", ones_for(g, matrix, rows), matrix)


def ones_for(g: Graph, matrix: Value, rows: Shape) -> Value:
    """A one for each row of a matrix, 1×R; the same value for all with rows of these sizes."""
    key = f"ones/{rows}"
    known = g.recall_or_none(key)
    if known is None:
        # The runtime folds it where it knows the batch.
        shape = g.op("Concat", g.ints([1]), g.op("Shape", matrix, start=0, end=1), axis=0)
        known = (g.op("Expand", g.floats([[1.0]]), shape),)
        g.remember(key, known)
    return str(known[0])
