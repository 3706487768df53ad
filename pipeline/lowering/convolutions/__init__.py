"""Reads windows and shapes of images.
Writes the products that convolutions are made of, in the layout that suits them.
Belongs here: another way to compute a convolution or to lay images out; which is taken, `rules/` decides.
"""
