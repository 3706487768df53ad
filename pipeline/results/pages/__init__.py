"""Reads results folders, as `records/` has them, and images of the dataset.
Writes report.html, comparison.html, and PNG files beside the report.
Belongs here: what a user looks at after a training: a picture in a module, a page in a template.
"""
