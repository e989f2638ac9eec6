"""Everything that Redis holds of a deployment, read key by key as bytes."""

import asyncio
from typing import Any

from load.chaos.stored_state import Stored
from serving.keys import BATCH_FIELD
from streams.settings import Settings


def read_redis(settings: Settings) -> Stored:
    """The states, watermarks and numbers of waiting users under the settings' prefix."""
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> Stored:
    client: Any = settings.redis.options().connect()
    start = f"{settings.redis.prefix}:{{"
    topics = settings.kafka.topic_prefix
    states: dict[tuple[int, str], bytes] = {}
    applied: dict[int, dict[str, int]] = {}
    waiting: dict[int, int] = {}
    try:
        async for raw in client.scan_iter(match=f"{start}*", count=1_000):
            key = raw.decode()
            number, _, rest = key.removeprefix(start).partition("}:")
            partition = int(number)
            kind, _, user = rest.partition(":")
            if kind == "u":
                states[partition, user] = await client.get(raw)
            elif kind == "applied":
                applied[partition] = {
                    field.decode().removeprefix(topics): int(offset)
                    for field, offset in (await client.hgetall(raw)).items()
                    if field != BATCH_FIELD.encode()
                }
            elif kind == "pending":
                waiting[partition] = await client.zcard(raw)
    finally:
        await client.aclose()
    return Stored(states, applied, waiting)
