"""Reads a package.
Writes what its page in a browser hands back, into the package's output folder.
Belongs here: what a browser as a target takes: the server, what page and program tell one another, who opens it.
"""
