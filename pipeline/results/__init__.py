"""Reads metrics.jsonl, which a training wrote.
Writes report.html, and the words that tell how an interrupted training goes on.
Belongs here: what a user looks at after a training.
"""
