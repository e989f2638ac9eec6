"""A worker of a build that commits the offsets of a batch before it writes what the batch changes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import faust

from cli.main import main
from streams import workers
from streams.agent import Delivery, Step, micro_batches
from streams.publisher import Publisher

_BETWEEN_S = 0.3  # what a busy machine takes by itself


def attach(
    app: faust.App, *, topics: Sequence[str], batch_max: int, step: Step, publisher: Publisher
) -> None:
    """As streams.agent.attach, in the wrong order."""

    async def take(stream: Any) -> None:
        delivery = Delivery(app, publisher)
        async for events in micro_batches(stream, batch_max=batch_max):
            records = [record for event in events for record in event.message.records]
            for event in events:
                event.ack()
            await app.consumer.commit()
            await asyncio.sleep(_BETWEEN_S)
            await delivery.deliver(await step(records), [])

    app.agent(app.topic(*topics, key_type=bytes, value_type=bytes), name="headwater")(take)


if __name__ == "__main__":
    workers.attach = attach
    main()
