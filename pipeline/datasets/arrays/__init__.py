"""Reads arrays of samples and targets: .npz, .npy.
Writes `<split>/x.npy` and `y.npy`, or BMP strips where the samples are pictures of one class each.
Belongs here: what any dataset of numbers has, whatever file it comes in.
"""
