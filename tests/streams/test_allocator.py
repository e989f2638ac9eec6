"""However many threads allocate, they share two heaps: asked of the C library itself, in a process of its own."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import ctypes, sys, threading
from streams.allocator import bound_arenas

if sys.argv[1] == "bounded":
    assert bound_arenas()
libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
ready = threading.Barrier(8)

def work():
    libc.malloc(1000)  # what gives a thread its heap
    ready.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, out)
libc.fclose(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library has arenas")
def test_threads_share_two_heaps(tmp_path: Path) -> None:
    heaps = {}
    for how in ("bounded", "free"):
        told = tmp_path / f"{how}.xml"
        subprocess.run([sys.executable, "-c", COUNT, how, str(told)], check=True, timeout=60)
        heaps[how] = told.read_text().count("<heap nr=")
    assert heaps["bounded"] <= 2 < heaps["free"]
