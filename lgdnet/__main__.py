"""`python -m lgdnet`, `lgdnet`."""

import errno
import io
import re
import sys

from lgdnet.artefact import disk_is_full
from lgdnet.commands import app
from lgdnet.errors import InputError

WAYS_OUT = {  # what the system says of a path, and what helps
    errno.ENOENT: "no such file or folder. Correct the path.",
    errno.ENOTDIR: "a part of this path is a file, not a folder. Correct the path.",
    errno.EISDIR: "a folder, where a file is needed. Name a file.",
    errno.EEXIST: "there is a file of this name, where a folder is needed. Choose another name.",
    errno.EACCES: "permission denied. Name another place, or have the permissions changed.",
    errno.EPERM: "not permitted. Name another place, or have the permissions changed.",
    errno.EROFS: "this file system cannot be written to. Name another place.",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one.",
}
TEMPORARY = re.compile(r"\.\d+\.tmp$")  # how `atomic` calls a file that is not whole yet


def main() -> None:
    """Run a command, or list them all; bad input ends in one line and exit code 2, never in a traceback."""
    show_everything()
    try:
        app(sys.argv[1:] or ["--help"])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError) as error:  # HDF5 wraps the system's words into a RuntimeError
        if disk_is_full(error):
            print(f"error: {full_disk(error)}", file=sys.stderr)
        elif isinstance(error, OSError) and error.filename is not None and error.strerror:
            print(f"error: {of_a_path(error)}", file=sys.stderr)
        else:
            raise
        sys.exit(2)


def show_everything() -> None:
    """What the terminal's encoding lacks is printed as an escape: a name of a file must not end a run."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def of_a_path(error: OSError) -> str:
    """`x/y.png: a folder, where a file is needed. ...`; of a rename the file that was to be made."""
    name = TEMPORARY.sub("", str(error.filename if error.filename2 is None else error.filename2))
    return f"{name}: {WAYS_OUT.get(error.errno or 0, f'{error.strerror}. Correct the path, or name another place.')}"


def full_disk(error: OSError | RuntimeError) -> str:
    """`results/x/y.h5: not written, the disk is full. ...`"""
    name = getattr(error, "filename", None)
    return f"{f'{name}: ' if name else ''}not written, the disk is full or your quota is used up. Free some space and start again."


if __name__ == "__main__":
    main()
