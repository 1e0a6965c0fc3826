"""The errors that are shown as one line, without a traceback."""


class MstclipiqaError(Exception):
    """A failure whose message is all there is to say: one line."""


class InputError(MstclipiqaError):
    """Bad input, the user's to mend. The line names the file, the value, and what to do."""


def no_rights(path: object) -> InputError:
    """The refusal of a file that is there and may not be read: another copy would not help."""
    return InputError(f"{path}: may not be read; give yourself the right to")


class FailedRunError(MstclipiqaError):
    """A run whose outcome means nothing, such as constant predictions. It is never cached."""
