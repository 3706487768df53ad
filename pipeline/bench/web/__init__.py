"""Reads nothing but what it builds.
Writes build/bench-web.json.
Belongs here: what measures steps in a browser: the page in `page/`, who opens it, and the rounds.
"""
