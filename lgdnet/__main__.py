"""`python -m lgdnet`, `lgdnet`."""

import sys

from lgdnet.commands import app
from lgdnet.errors import InputError


def main() -> None:
    """Run a command; bad input ends in one line and exit code 2, never in a traceback."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
