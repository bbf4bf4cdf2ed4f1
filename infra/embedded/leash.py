"""Runs a program that ends when the process that started it ends, even if that one is killed with -9.

Run as a script, `python -I -S leash.py OPTIONS -- PROGRAM ARGUMENTS`; it becomes the program (exec), so that
the process id stays. It imports the standard library alone: it stands between every start and its program.

Linux tells a child that its parent died (`PR_SET_PDEATHSIG`). Elsewhere, or with `--watch-fd`, a small
companion process waits for the end of a pipe whose other end only the parent holds, then sends the signal.

As root it can also change to another account and keep one right of root there: to pass through directories
that are closed to that account (`/root` is). PostgreSQL refuses to run as root; opening `/root` to everyone,
the usual remedy, would cost more.
"""

import argparse
import contextlib
import ctypes
import os
import select
import struct
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
WATCH_INTERVAL_S = 0.5
REFUSED = 126
"""Exit code when the program could not be leashed: it must not run then."""


def command(
    program: Sequence[str],
    *,
    parent: int,
    death_signal: int,
    account: tuple[int, int, bool] | None = None,
    cwd: str | None = None,
    watch_fd: int | None = None,
) -> list[str]:
    """The command line that runs `program` (absolute path and arguments) on a leash.

    Args:
        program: What to run.
        parent: Process id of who starts it; it is not run when that one has ended meanwhile.
        death_signal: What it gets when the parent ends.
        account: uid, gid and `traverse` of the account to change to; None keeps ours.
        cwd: Working directory; None is ours.
        watch_fd: Reading end of a pipe, inherited, whose writing end only the parent holds; None: the kernel
            tells (Linux).
    """
    words = [sys.executable, "-I", "-S", __file__, "--parent", str(parent)]
    words += ["--death-signal", str(int(death_signal))]
    if account is not None:
        uid, gid, traverse = account
        words += ["--uid", str(uid), "--gid", str(gid), *(["--traverse"] if traverse else [])]
    words += [] if cwd is None else ["--cwd", cwd]
    words += [] if watch_fd is None else ["--watch-fd", str(watch_fd)]
    return [*words, "--", *program]


def prctl(option: int, *values: int) -> None:
    """The system call of that name.

    Raises:
        OSError: The kernel refused.
    """
    library = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if library.prctl(ctypes.c_int(option), *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def keep_capability(number: int) -> None:
    """Hold one capability, and hand it on to the programs that follow; no other is left."""
    library = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
    mask = 1 << number
    data = ctypes.create_string_buffer(struct.pack("=6I", mask, mask, mask, 0, 0, 0))
    if library.capset(header, data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def permitted_capabilities() -> int:
    """Bit set of the capabilities that this process may use."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    return 0


def become(uid: int, gid: int, traverse: bool) -> None:
    """Change to another account for good; with `traverse`, keep the right to pass through directories."""
    capability = None
    if traverse:
        permitted = permitted_capabilities()
        usable = [each for each in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if permitted >> each & 1]
        if not usable:
            raise PermissionError("root lacks CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE here")
        capability = usable[0]
        # Without it access(2), by which PostgreSQL looks for its programs, does not count capabilities. Where
        # we may not set it, what matters may still be within reach.
        with contextlib.suppress(OSError):
            prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
        prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        keep_capability(capability)


def watch(pipe: int, death_signal: int) -> None:
    """Leave a companion process that signals this one when the pipe ends; return in this one."""
    target = os.getpid()
    if os.fork() != 0:
        os.close(pipe)
        return
    # Its own session: what is sent to the program's group must not reach it.
    os.setsid()
    while os.getppid() == target:
        readable, _, _ = select.select([pipe], [], [], WATCH_INTERVAL_S)
        if readable and not os.read(pipe, 1):
            os.kill(target, death_signal)
            break
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Leash this process and become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--watch-fd", type=int)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--traverse", action="store_true")
    parser.add_argument("--cwd")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    if options.uid is not None:
        become(options.uid, options.gid, options.traverse)
    if options.cwd is not None:
        os.chdir(options.cwd)
    if options.watch_fd is not None:
        watch(options.watch_fd, options.death_signal)
    else:
        # After the change of account, which clears it.
        prctl(PR_SET_PDEATHSIG, options.death_signal)
    if os.getppid() != options.parent:
        raise ProcessLookupError("the supervisor has ended meanwhile")
    os.execv(options.program[0], options.program)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError) as problem:
        print(f"leash: {problem}", file=sys.stderr)
        sys.exit(REFUSED)
