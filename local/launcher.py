"""Turns itself into a server program: bound to its parent's life, and never seen as root by a program that refuses root.

Run as a script, by `local.processes` only: `python -I -S launcher.py PARENT SIGNAL WHO -- command …`. A program of
its own instead of `preexec_fn`, because Python code between fork and exec may dead-lock a parent that has threads.

PARENT is the pid whose death ends the command (0: none), SIGNAL the signal it then gets, WHO one of

- `same`: run as the caller;
- `mapped`: a user namespace in which the caller is uid 1000. Nothing changes outside: files made in it belong to the
  caller, and the caller's files are its own, also in folders of mode 0700;
- a number: become that uid and gid.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
MAPPED_ID = 1000


def _map_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{MAPPED_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{MAPPED_ID} {gid} 1")


def _become(uid: int) -> None:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Bind to the parent, change the user if asked to, and become the command."""
    parent, death_signal, who = int(arguments[0]), int(arguments[1]), arguments[2]
    command = arguments[4:]
    if who == "mapped":
        _map_user()
    elif who != "same":
        _become(int(who))
    if parent:
        # After the change of user: the kernel forgets the signal when credentials change (prctl(2)).
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked to be told
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
