"""Starts a command as the one that a terminal belongs to, where bubblewrap has already shut us in.

    python -I -S -c <this text> TOLD_FD COMMAND...

Its standard input is the terminal. TOLD_FD is closed when the command runs; otherwise it has been told why not. Needs
nothing but the standard library: no file of ours is to be seen there.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios


def main(told: int, command: list[str]) -> int:
    """Does not return if all goes well."""
    os.set_inheritable(told, False)
    try:
        if os.getsid(0) != os.getpid():
            os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Python ignores it, and what is executed would go on to.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(told, f"execvp {command[0]}: {error.strerror}".encode())
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
