"""The one exception that means: the user's input is wrong, and this sentence says how to mend it."""


class InputError(ValueError):
    """Bad input: the message is one sentence that says what is wrong, where, and what was expected.

    The command line prints it without a traceback and exits with status 2.
    """
