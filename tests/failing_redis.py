"""A Redis that a test can kill, start again empty on its port, hang and slow down; nothing of it is simulated."""

import asyncio
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.embedded import HOST, EmbeddedRedis
from streams.processes import Child, free_port, spawn


class FailingRedis:
    """One server process without persistence: `kill` loses what it held."""

    def __init__(self) -> None:
        self.port = free_port(HOST)
        self._server = EmbeddedRedis()
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-test-redis-")
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> Self:
        folder = Path(self._folder.name)
        command = self._server.command(self.port, folder=folder)
        self._child = spawn(command, name="redis", log_file=folder / "redis.log")
        self._child.wait_until(lambda: self._server.answers(self.port), timeout_s=20, what="answer")
        return self

    def kill(self) -> None:
        """kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def hang(self) -> None:
        """It keeps its connections and answers nothing until `go_on`."""
        assert self._child is not None
        self._child.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._child is not None
        self._child.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()


class SlowWire:
    """A TCP proxy before a server that holds what the server answers back for `delay_s`."""

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.port = 0
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, HOST, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._to)
        await asyncio.gather(self._pump(reader, back, held=False), self._pump(there, writer, held=True))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, held: bool) -> None:
        """What comes while something is held is held beside it: a long answer is no later than a short one."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        passing = asyncio.create_task(self._pass_on(pieces, sink))
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                pieces.put_nowait((self._loop.time() + (self.delay_s if held else 0.0), data))
        pieces.put_nowait((self._loop.time(), b""))
        await passing

    async def _pass_on(self, pieces: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while (piece := await pieces.get())[1]:
                await asyncio.sleep(max(piece[0] - self._loop.time(), 0.0))
                sink.write(piece[1])
                await sink.drain()
        sink.close()
