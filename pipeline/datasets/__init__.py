"""Datasets of several layouts → the device's BMP dataset: one module for each layout."""
