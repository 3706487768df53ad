"""The one error of all file formats."""


class FormatError(Exception):
    """A file is missing, damaged, of another format or made for something else; the message names it, in one line."""

    def __str__(self) -> str:
        # What a file holds is in it, and would be commands to the terminal.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in super().__str__())
