"""The one error of all file formats."""


class FormatError(Exception):
    """A file is missing, damaged, of another format or made for something else; the message names it."""
