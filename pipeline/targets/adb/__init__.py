"""Reads what a device says over adb.
Writes files and processes on the device.
Belongs here: the protocol: shell, exit codes, push, lost connections; trainings are `../device.py`'s.
"""
