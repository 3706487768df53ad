"""The models of `as_written.py`, by what they are about; each is written as people write it, for images 3×8×8."""
