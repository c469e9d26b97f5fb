"""Becomes an embedded server: drops root, asks to be signalled when the starter dies, then executes the server.

Run as a script, never imported. It stands between fork and exec because Python code there is unsafe once threads run.

Arguments: PARENT_PID DEATH_SIGNAL UID GID COMMAND…; a UID of 0 keeps the caller's user.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Prepare this process, then replace it by the command."""
    parent_pid, death_signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    command = sys.argv[5:]
    if uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which would clear it.
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # It died before we asked.
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # A shell's background job would hand on 'ignored'.
    os.execv(command[0], command)  # noqa: S606  a list of ours, no shell


if __name__ == "__main__":
    main()
