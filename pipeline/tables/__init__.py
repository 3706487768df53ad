"""Reads rows of text.
Writes them as lines in which columns stand under one another.
Belongs here: a table for people where output is no terminal; what is in it is the caller's.
"""
