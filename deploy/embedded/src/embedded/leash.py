"""Starts a command that cannot outlive whoever started it and, for root, one that may refuse to run as root.

Run as a script, `python -S -E leash.py PARENT_PID SIGNAL [WAY] -- COMMAND…`: it costs a few milliseconds, and nothing happens
between fork and exec in a process that has threads. The command keeps the process id. Standard library only.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CLONE_NEWUSER = 0x10000000
CAP_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
NOBODY = 65534
SOMEBODY = 1000
LINUX = sys.platform == "linux"


def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, call: str) -> None:
    """Raises OSError with errno's text when a C call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def die_with(parent: int, with_signal: int) -> None:
    """This process, and what it execs, gets `with_signal` when its parent ends. Ends at once when the parent is gone already."""
    if LINUX:
        check(libc().prctl(PR_SET_PDEATHSIG, with_signal, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")


def enter_user_namespace() -> None:
    """Root becomes uid 1000 in a namespace of its own, and still may go wherever root may."""
    uid, gid = os.geteuid(), os.getegid()
    check(libc().unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{SOMEBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{SOMEBODY} {gid} 1", encoding="ascii")


def become_nobody() -> None:
    """Root becomes `nobody` and keeps the one capability that lets it pass folders only root can enter."""
    c = libc()
    # With this bit a change of the user keeps capabilities, and access(2), by which PostgreSQL finds its programs, honours them.
    check(c.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAP_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; low words, then high
    check(c.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")
    check(c.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "prctl")


WAYS = {"namespace": enter_user_namespace, "nobody": become_nobody}


def main(arguments: list[str]) -> None:
    """Leashes and execs; see the module."""
    split = arguments.index("--")
    (parent, with_signal, *way), command = arguments[:split], arguments[split + 1 :]
    os.umask(0o077)
    for name in way:
        WAYS[name]()
    # Last, because the kernel forgets the parent-death signal whenever credentials change.
    die_with(int(parent), getattr(signal, with_signal))
    try:
        os.execvp(command[0], command)  # noqa: S606  (an argument list, no shell)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
