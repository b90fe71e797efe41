"""Runs a command that ends when its parent does: `python leash.py PARENT_PID COMMAND [ARGUMENT...]`.

Linux sends the signal also when the parent was killed and could not send one itself. Standard library only, so that it
starts in a few milliseconds.
"""

import ctypes
import os
import signal
import sys

# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command, after asking the kernel for SIGTERM at the parent's end."""
    parent, command = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have ended before the kernel was asked.
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
