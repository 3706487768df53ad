"""Reads recordings of the user's: any rate, channels and depth that soundfile knows.
Writes seconds of sound, 16 bits at 16 kHz, as arrays.
Belongs here: what holds for recordings, however they lie; how a folder of them may look is a module of `layouts/`.
"""
