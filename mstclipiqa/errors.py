"""The one kind of error that is the user's to mend."""


class InputError(Exception):
    """Bad input. The message is one line: the file, the value, and what to do. Shown without a traceback."""
