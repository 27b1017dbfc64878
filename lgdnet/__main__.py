"""`python -m lgdnet`, `lgdnet`."""

import errno
import sys

from lgdnet.commands import app
from lgdnet.errors import InputError


def main() -> None:
    """Run a command, or list them all; bad input ends in one line and exit code 2, never in a traceback."""
    try:
        app(sys.argv[1:] or ["--help"])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError) as error:  # HDF5 wraps the system's words into a RuntimeError
        if not disk_is_full(error):
            raise
        print(f"error: {full_disk(error)}", file=sys.stderr)
        sys.exit(2)


def disk_is_full(error: OSError | RuntimeError) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def full_disk(error: OSError | RuntimeError) -> str:
    """`results/x/y.h5: not written, the disk is full. ...`"""
    name = getattr(error, "filename", None)
    return f"{f'{name}: ' if name else ''}not written, the disk is full or your quota is used up. Free some space and start again."


if __name__ == "__main__":
    main()
