"""Reads photographs of any common form.
Writes BMP files of one size, in parallel, and dataset.json.
Belongs here: what is done with an image file, a broken one too, wherever it lies.
"""
