"""What a user can mend."""


class UserError(ValueError):
    """A wrong key, a broken file, a missing server: the message says what, where and what to do.

    The command line shows it as one line. Any other error is a bug of this package, and keeps its traceback.
    """
