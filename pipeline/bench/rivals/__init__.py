"""Reads a task that the bench hands over, and the package and export of its network.
Writes a line of JSON for each turn: a rival's time and memory, or why it does not run.
Belongs here: an engine that trains the same network, beside which ours is measured.
"""
