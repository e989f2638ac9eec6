"""Becomes a program that the kernel kills when the parent dies: `exec_child.py PARENT_PID MODE -- ARGV`.

Run as a script, before anything else is imported, so that it costs a few milliseconds. MODE `signal` (Linux)
asks the kernel for SIGKILL at the parent's death and then execs ARGV in place. MODE `watch` (anywhere else)
stays as ARGV's parent and kills it once its own parent is gone. Signals are sent to the process group of
both (streams.processes does), so the watcher passes none on: the program would get them twice.
"""

import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 0.2
ORPHANED = 125
CANNOT_EXEC = 127


def main(arguments: list[str]) -> int:
    parent, mode, separator, *argv = arguments
    if separator != "--" or not argv:
        print("usage: exec_child.py PARENT_PID signal|watch -- ARGV", file=sys.stderr)
        return 2
    try:
        return _watch(argv, parent=int(parent)) if mode == "watch" else _become(argv, parent=int(parent))
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_EXEC


def _become(argv: list[str], *, parent: int) -> int:
    import ctypes  # here: the other mode runs where libc has no prctl

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return CANNOT_EXEC
    if os.getppid() != parent:  # it died before the request was made
        return ORPHANED
    os.execvp(argv[0], argv)  # returns only by raising
    return CANNOT_EXEC


def _watch(argv: list[str], *, parent: int) -> int:
    early: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):  # caught, not ignored: that would pass on to the program
        signal.signal(number, lambda received, _frame: early.append(received))
    child = subprocess.Popen(argv)
    if early:  # it came before there was a program to get it
        child.send_signal(early[-1])
    while True:
        try:
            code = child.wait(timeout=PARENT_CHECK_S)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.kill()
                child.wait()
                return ORPHANED
        else:
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
