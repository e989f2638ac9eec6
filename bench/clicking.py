"""Clicks at a steady rate, each from the time it was due to the recommendation that has seen it: an open loop."""

import os
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from bench.confluent_clients import ConfluentAnswers, ConfluentSender
from events.topics import Topic
from events.types import AnyUserEvent
from load.books import Books, Ticket
from load.latency import Percentiles, Second
from load.ledger import Counts
from load.pacing import Pace

_LEAD_NS = 100_000_000
_SETTLE_S = 10.0
_SHOW_S = 5.0
_STEP_S = 0.02
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """How fast, how long, and the part at the start whose latencies don't count."""

    rate: float  # events a second
    duration_s: float  # warm-up and all
    warmup_s: float = 0.0
    topic_prefix: str = ""
    partitions: int = 8
    fetch_wait_ms: int = 20
    linger_ms: float = 1.0  # that the sending client waits for company of an event, as `headwater replay`


@dataclass(frozen=True, slots=True)
class Clicked:
    """What came of it. `behind_ms` is how late the sender was, `cpu_cores` what this process itself used."""

    counts: Counts
    latency_ms: Percentiles
    behind_ms: Percentiles
    timeline: list[Second]
    elapsed_s: float
    cpu_cores: float

    @property
    def sent_per_s(self) -> float:
        return self.counts.sent / max(self.elapsed_s, 1e-9)


def click(
    events: Iterable[AnyUserEvent],
    *,
    traffic: Traffic,
    kafka: Mapping[str, Any],
    warmed: Callable[[], None] = lambda: None,
    show: Callable[[str], None] = lambda _line: None,
) -> Clicked:
    """Send `events` at the rate until the time is over, then wait for the answers. `occurred_at` becomes each
    event's due time. `kafka` is a librdkafka client's configuration. `warmed` is called once, when the warm-up is
    over, in the thread that sends. BrokerTrouble where Kafka fails.
    """
    books = Books(topic_prefix=traffic.topic_prefix)
    answers = ConfluentAnswers(
        kafka,
        topic=f"{traffic.topic_prefix}{Topic.RECOMMENDATIONS.value}",
        partitions=traffic.partitions,
        heard=books.recommended,
        before=books.keep,
        unreadable=books.unreadable,
        fetch_wait_ms=traffic.fetch_wait_ms,
    )
    sender = ConfluentSender(
        kafka, topic_prefix=traffic.topic_prefix, books=books, linger_ms=traffic.linger_ms
    )
    try:
        answers.start()
        cpu_s = time.process_time()
        behind_ns = _send(events, traffic=traffic, books=books, sender=sender, warmed=warmed, show=show)
        elapsed_s = books.now_ns() / _NS_PER_S
        cpu_cores = (time.process_time() - cpu_s) / max(elapsed_s, 1e-9)
        sender.flush()
        _settle(books, answers)
    finally:
        sender.close()
        answers.close()
    books.keep()
    books.ledger.close()
    latencies = books.ledger.latencies
    return Clicked(
        counts=books.ledger.counts,
        latency_ms=latencies.percentiles(from_ns=round(traffic.warmup_s * _NS_PER_S)),
        behind_ms=Percentiles.of(np.array(behind_ns, dtype=np.int64) / 1e6),
        timeline=latencies.timeline(),
        elapsed_s=elapsed_s,
        cpu_cores=cpu_cores,
    )


def _send(
    events: Iterable[AnyUserEvent],
    *,
    traffic: Traffic,
    books: Books,
    sender: ConfluentSender,
    warmed: Callable[[], None],
    show: Callable[[str], None],
) -> "array[int]":
    """Nanoseconds that each event was sent after it was due."""
    pace = Pace(rate=traffic.rate)
    behind_ns = array("q")
    books.start_ns = time.monotonic_ns() + _LEAD_NS
    start_ms = time.time_ns() // 1_000_000 + _LEAD_NS // 1_000_000
    warm, show_s = False, _SHOW_S
    for index, event in enumerate(events):
        due_ns = pace.due_ns(index, since_first_ms=0)
        if due_ns >= traffic.duration_s * _NS_PER_S:
            break
        if not warm and due_ns >= traffic.warmup_s * _NS_PER_S:
            warm = True
            warmed()
        while (left_ns := due_ns - books.now_ns()) > 0:
            time.sleep(left_ns / _NS_PER_S)
        ticket = Ticket(event.user_id, due_ns, True)
        behind_ns.append(books.now_ns() - due_ns)
        books.sent(ticket)
        sender.send(replace(event, occurred_at=start_ms + due_ns // 1_000_000), ticket=ticket)
        if due_ns > show_s * _NS_PER_S:
            show_s += _SHOW_S
            recent = books.ledger.latencies.recent(2_000)
            show(
                f"{index + 1:,} sent, {books.waiting:,} waiting, p50 {recent.p50:,.0f} p99 {recent.p99:,.0f} ms, "
                f"load {os.getloadavg()[0]:.1f}"
            )
    return behind_ns


def _settle(books: Books, answers: ConfluentAnswers) -> None:
    """Return when every answer is there, or none has come for a while."""
    seen, since_s = -1, time.monotonic()
    while books.waiting:
        answers.check()
        if (answered := books.ledger.counts.answered) != seen:
            seen, since_s = answered, time.monotonic()
        if time.monotonic() - since_s > _SETTLE_S:
            return
        time.sleep(_STEP_S)
