"""The errors that are shown as one line, without a traceback."""


class MstclipiqaError(Exception):
    """A failure whose message is all there is to say: one line."""


class InputError(MstclipiqaError):
    """Bad input, the user's to mend. The line names the file, the value, and what to do."""


class FailedRunError(MstclipiqaError):
    """A run whose outcome means nothing, such as constant predictions. It is never cached."""
