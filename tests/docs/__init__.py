"""The documentation, tried: its commands are run, its files are written, its links lead somewhere."""
