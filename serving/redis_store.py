"""The user store on Redis, Valkey or a cluster: one script reads a batch, another writes it.

Keys and times to live: keys.py. The scripts: redis_scripts.py.
"""

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import hiredis
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from serving.errors import StaleWriter, StoreRefused, StoreUnavailable
from serving.keys import BATCH_FIELD, KeySpace
from serving.ports import PartitionWrite, StoredBatch, StoreInfo, UserAt, one_write_per_partition
from serving.redis_options import RedisOptions
from serving.redis_probe import PROBE, probe_call, probe_commands
from serving.redis_refusals import is_distrust, refusal
from serving.redis_scripts import READ, WRITE, Command, Script, read_call, write_call

_Reply = TypeVar("_Reply")
_Sleep = Callable[[float], Awaitable[None]]

_PASSING = (
    ConnectionError,
    TimeoutError,
    OSError,
    ReadOnlyError,
    MasterDownError,
    TryAgainError,
    ClusterDownError,
    RedisClusterException,
)
"""What a restart or failover of the server cures."""


class RedisStore:
    """A UserStore on a server; use it from the event loop that first uses it, and close it there."""

    def __init__(self, options: RedisOptions, *, keys: KeySpace, sleep: _Sleep = asyncio.sleep) -> None:
        self._options = options
        self._keys = keys
        self._sleep = sleep
        self._client = options.connect()
        self._split = isinstance(self._client, RedisCluster)  # a call's keys must lie on one node

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        """As UserStore.read. The watermarks are read first, so they are never newer than the states."""
        rows: dict[int, list[int]] = {partition: [] for partition in partitions}
        for row, (partition, _) in enumerate(users):
            rows.setdefault(partition, []).append(row)
        asked = [{at: [users[row][1] for row in of_partition] for at, of_partition in rows.items()}]
        if self._split:
            asked = [{at: of_partition} for at, of_partition in asked[0].items()]
        replies = await self._run(READ, [read_call(part, keys=self._keys) for part in asked if part])
        states: list[bytes | None] = [None] * len(users)
        applied, pending = {}, {}
        for part, reply in zip(asked, replies, strict=False):
            for number, at in enumerate(part):
                applied[at] = _watermarks(_paired(reply[2 * number]))
                pending[at] = int(reply[2 * number + 1])
            values = iter(reply[2 * len(part) :])
            for at in part:
                for row in rows[at]:
                    states[row] = next(values)
        return StoredBatch(states=states, applied=applied, pending=pending)

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        """As UserStore.write."""
        one_write_per_partition(writes)
        parts = [[write] for write in writes] if self._split else [writes] if writes else []
        replies = await self._run(WRITE, [write_call(part, keys=self._keys) for part in parts])
        found = {
            part[number].partition: _watermarks(_paired(stored))
            for part, reply in zip(parts, replies, strict=True)
            for number, stored in zip(reply[::2], reply[1::2], strict=True)
        }
        if found:
            raise StaleWriter(
                found=found,
                expected={write.partition: write.expected for write in writes if write.partition in found},
                written=[write.partition for write in writes if write.partition not in found],
            )

    async def slate(self, user_id: str) -> bytes | None:
        """As UserStore.slate."""
        key = self._keys.slate(self._keys.partition(user_id), user_id)
        (slate,) = await self._pipeline([("GET", key)])
        return None if slate is None else bytes(slate)

    async def pending(self, partition: int, *, limit: int) -> list[str]:
        """As UserStore.pending."""
        if limit < 1:
            raise ValueError(f"limit is {limit}; it must be at least 1")
        (users,) = await self._pipeline([("ZREVRANGE", self._keys.pending(partition), 0, limit - 1)])
        return [user.decode() for user in users]

    async def applied(self, partitions: Collection[int]) -> dict[int, dict[str, int]]:
        """As UserStore.applied."""
        return (await self.read([], partitions=partitions)).applied

    async def naming(self) -> str | None:
        """What the user ids in the store are, as `name_by` was first told; None where it never was."""
        (found,) = await self._pipeline([("GET", self._keys.naming)])
        return None if found is None else found.decode()

    async def name_by(self, naming: str) -> None:
        """Leave word of what the user ids in the store are, unless somebody has."""
        await self._pipeline([("SET", self._keys.naming, naming, "NX")])

    async def probe(self) -> None:
        """Return when this user may do all that reads and writes need; NotPermitted if not."""
        await self._run(PROBE, [probe_call(self._keys)])
        for command in probe_commands(self._keys):  # one by one: on a cluster they may lie on different nodes
            await self._pipeline([command])

    async def ping(self) -> StoreInfo:
        """As UserStore.ping. Of a cluster one node answers."""
        info = await self._try(self._info)
        seconds, microseconds = await self._try(self._time)
        return StoreInfo(
            product=str(info.get("server_name", "redis")),
            version=str(info.get("valkey_version") or info["redis_version"]),
            eviction=str(info.get("maxmemory_policy", "unknown")),
            now_ms=seconds * 1000 + microseconds // 1000,
        )

    async def close(self) -> None:
        """As UserStore.close."""
        await self._client.aclose()

    async def _info(self) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], await self._client.info("server", "memory", **await self._one_node()))

    async def _time(self) -> tuple[int, int]:
        return await self._client.time(**await self._one_node())

    async def _one_node(self) -> dict[str, Any]:
        """What makes a cluster's client ask one node only."""
        if not isinstance(self._client, RedisCluster):
            return {}
        await self._client.initialize()
        return {"target_nodes": self._client.get_default_node()}

    async def _run(self, script: Script, calls: Sequence[Command]) -> list[Any]:
        """The replies to calls of the script, which is loaded where the server has lost it."""
        try:
            return await self._pipeline(calls)
        except NoScriptError:
            await self._try(lambda: self._client.script_load(script.text))
            return await self._pipeline(calls)  # what was written meanwhile is known by its batch id

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to all commands, sent together; NoScriptError when the server lacks a script."""
        if not commands:
            return []
        if len(commands) == 1 and isinstance(self._client, Redis):
            client, command = self._client, commands[0]
            return [await self._try(lambda: _ask(client, command))]
        return await self._try(lambda: self._send(commands))

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies = await pipeline.execute(raise_on_error=False)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors:
            raise next((error for error in errors if not isinstance(error, NoScriptError)), errors[0])
        return replies

    async def _try(self, call: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """`call`'s result; it is tried again while the server is away, for as long as patience lasts.

        A call given up in the middle leaves its connection closed, so that no later call reads its answer.
        """
        patience_s = self._options.patience_s
        try:
            async with asyncio.timeout(patience_s):
                return await self._tries(call)
        except builtins.TimeoutError as error:
            raise StoreUnavailable(
                f"{self._options.address} did not answer within {patience_s} s. "
                "Check that the server runs and what keeps it busy (SLOWLOG GET, INFO)"
            ) from error

    async def _tries(self, call: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """`call`'s result; it is tried again while the server is away, as reads and writes may be."""
        address = self._options.address
        for attempt in range(self._options.retries + 1):
            if attempt:
                await self._sleep(self._options.backoff_s * 2 ** (attempt - 1))
            try:
                return await call()
            except NoScriptError:
                raise
            except (AuthenticationError, AuthorizationError) as error:
                raise refusal(error, address=address) from error
            except _PASSING as error:
                if is_distrust(error):
                    raise refusal(error, address=address) from error
                last: Exception = error
            except OutOfMemoryError as error:
                raise StoreRefused(
                    f"{address} is out of memory: {error}. Raise maxmemory, or lower the states' time to live"
                ) from error
            except RedisError as error:
                raise refusal(error, address=address) from error
        raise StoreUnavailable(
            f"{address} did not answer in {self._options.retries + 1} tries, "
            f"the last: {str(last).rstrip('.')}. Check that the server runs and that REDIS_URL names it"
        ) from last


async def _ask(client: Redis, command: Command) -> Any:
    """The reply to one command, packed by hiredis: redis-py's own packing takes a microsecond an argument."""
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.send_packed_command(hiredis.pack_command(cast(Any, command)))
        return await connection.read_response()
    finally:
        await pool.release(connection)


def _watermarks(stored: Mapping[bytes, bytes]) -> dict[str, int]:
    """Topic -> offset, from the hash that also holds the last batch's id."""
    return {field.decode(): int(value) for field, value in stored.items() if field != BATCH_FIELD.encode()}


def _paired(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The hash that a script returns as a flat list."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
