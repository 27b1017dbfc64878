"""The one exception that a user is meant to read."""


class InputError(ValueError):
    """Bad input: a message of one line that names the file, what is wrong and the way out.

    The command line prints it without a traceback and exits with code 2. Formats and readers derive
    their own (`ScoresError`, `ManifestError`), so that a caller can tell them apart.
    """
