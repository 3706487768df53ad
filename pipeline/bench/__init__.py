"""Reads what the stages make of networks that are only measured.
Writes tables and bench.json: the train step beside its rivals, photographs.
Belongs here: a measurement behind a number that is claimed.
"""
