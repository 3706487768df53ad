"""Reads what a machine that trains says of itself; device.json.
Writes device.json.
Belongs here: what is known of any such machine; how another one is asked is `targets/`'s.
"""
