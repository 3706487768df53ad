"""Reads what a results folder holds: metrics.jsonl, predictions, device.json, about.json, the package's manifest.
Writes about.json.
Belongs here: a file of results as a record; what is drawn of it is `pages/`'s.
"""
