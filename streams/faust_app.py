"""The Faust app of a worker: the settings that were measured to be fast and to lose nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from yarl import URL

from streams.transport import HeadwaterTransport, OnPositions

# A commit that was under way when the broker died waits for this before the worker joins again.
_REQUEST_S = 15.0
# The broker holds a worker's request to join until the rest of the group has joined, at most for this share of it. For
# longer than a request waits, the worker would give up and join anew, and the group would wait for who gave up.
_JOINED_BY = 2 / 3
# A broker that has just started may name no partitions yet: a group that forms then gets none, until it looks again.
_METADATA_MS = 2_000


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What differs between deployments; the rest of Faust's settings is the same everywhere."""

    group: str  # the consumer group
    bootstrap_servers: str  # host:port, comma-separated
    data_dir: Path  # Faust insists on one; nothing is kept there
    session_timeout_s: float = 6.0  # a stock Apache broker refuses less than 6
    heartbeat_s: float = 1.0
    commit_interval_s: float = 0.5  # what a kill -9 redelivers
    fetch_wait_ms: int | None = None  # None: Faust's 1,500; 20-50 on the embedded broker
    fetch_min_bytes: int = 1  # less makes a fetch wait
    fetch_every_ms: int = 0  # the time between an answer and the next fetch
    credentials: Any = None  # faust.auth credentials for SASL


def make_app(
    config: AppConfig,
    *,
    start_offsets: Mapping[tuple[str, int], int] | None = None,
    on_positions: OnPositions = lambda _positions: None,
) -> faust.App:
    """A Faust app that takes raw bytes, crashes on an agent's error, and commits only what was acked.

    With `start_offsets` (next offset by topic and partition, 0 where absent) it reads from there, whatever the
    group has committed. `on_positions` hears, after every assignment, where each partition is read on.
    """
    brokers = [URL(f"kafka://{server.strip()}") for server in config.bootstrap_servers.split(",")]
    request_s = max(_REQUEST_S, 2 * config.session_timeout_s)
    app = faust.App(
        config.group,
        broker=brokers,
        broker_credentials=config.credentials,
        value_serializer="raw",
        key_serializer="raw",
        datadir=str(config.data_dir),
        store="memory://",
        web_enabled=False,
        agent_supervisor="mode.CrashingSupervisor",
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_buffer_maxsize=65_536,
        stream_wait_empty=False,
        broker_commit_interval=config.commit_interval_s,
        broker_max_poll_records=5_000,
        broker_session_timeout=config.session_timeout_s,
        consumer_metadata_max_age_ms=_METADATA_MS,
        broker_heartbeat_interval=config.heartbeat_s,
        broker_request_timeout=request_s,
        broker_rebalance_timeout=_JOINED_BY * request_s,
        consumer_auto_offset_reset="earliest",
        reply_create_topic=False,
    )
    app.transport = HeadwaterTransport(
        brokers,
        app,
        fetch_wait_ms=config.fetch_wait_ms,
        fetch_min_bytes=config.fetch_min_bytes,
        fetch_every_ms=config.fetch_every_ms,
        start_offsets=start_offsets,
        on_positions=on_positions,
    )
    return app
