"""Reads the packages of several devices, and the parameters that come back of them.
Writes the rounds of a federated training into a results folder.
Belongs here: what Flower's client, its nodes and its server do here; `options/` says what a user may ask for.
"""
