"""Replays a stream of shop events into Kafka and measures each event's way to its recommendation."""

import os
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from threading import Event
from typing import Any

import numpy as np
from msgspec.structs import replace

from events.types import AnyUserEvent, CatalogueItem
from load.answers import AnswerReader
from load.books import Books, Ticket
from load.catalogue import read_items
from load.faults import Sending, poisoned, with_faults
from load.latency import Percentiles
from load.progress import Moment, Silent, Watcher
from load.replay_config import ReplayConfig
from load.report import ReplayReport
from load.sender import EventSender, event_name, topic_of
from load.stream_reader import StreamReader

_LEAD_NS = 100_000_000  # from the decision to start to the first due time
_SLICE_NS = 100_000_000  # the longest sleep, so that a stop is noticed
_SHOW_NS = 200_000_000
_STEP_S = 0.02
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


def run_replay(
    config: ReplayConfig,
    *,
    bootstrap: str,
    kafka: Mapping[str, Any] | None = None,
    progress: Watcher | None = None,
    stop: Event | None = None,
) -> ReplayReport:
    """Replays the file of `config` and returns the report; see `replay_events` for the arguments.

    BadStream, before anything is sent, where the file has no event to send.
    """
    reader = StreamReader(config.path, columns=config.columns)
    items = read_items(config.items) if config.items is not None else []
    events = islice(reader, config.skip, None if config.limit is None else config.skip + config.limit)
    first = next(events, None)
    if first is None:
        raise reader.nothing_left(skip=config.skip)
    return replay_events(
        chain([first], events),
        config=config,
        bootstrap=bootstrap,
        items=items,
        kafka=kafka,
        progress=progress,
        stop=stop,
        skipped_rows=reader.skipped,
    )


def replay_events(
    events: Iterable[AnyUserEvent],
    *,
    config: ReplayConfig,
    bootstrap: str,
    items: Sequence[CatalogueItem] = (),
    kafka: Mapping[str, Any] | None = None,
    progress: Watcher | None = None,
    stop: Event | None = None,
    skipped_rows: Mapping[str, int] | None = None,
) -> ReplayReport:
    """Replays `events`, which may be any iterable, as `config` says (its path, skip and limit aside).

    `kafka` are more options of kafka-python's clients (TLS, SASL). `stop`, once set, ends the sending early;
    so does Ctrl-C; what was sent is still settled and reported. BrokerTrouble, BadStream as they happen.
    """
    run = _Run(
        config, bootstrap=bootstrap, kafka=kafka or {}, watcher=progress or Silent(), stop=stop or Event()
    )
    interrupted = False
    with run.watcher:
        try:
            try:
                run.send_all(events, items=items)
            except KeyboardInterrupt:
                interrupted = True
            try:
                run.settle()
            except KeyboardInterrupt:
                interrupted = True
        finally:
            run.close()
    return run.report(skipped_rows=dict(skipped_rows or {}), interrupted=interrupted)


class _Run:
    """One replay: the calling thread sends, and the answer reader's thread keeps the books."""

    def __init__(
        self,
        config: ReplayConfig,
        *,
        bootstrap: str,
        kafka: Mapping[str, Any],
        watcher: Watcher,
        stop: Event,
    ) -> None:
        self.config = config
        self.watcher = watcher
        self._stop = stop
        self._books = Books(topic_prefix=config.topic_prefix)
        self._delays_ns = array("q")
        self._show_ns = 0
        self._elapsed_s = self._cpu_s = 0.0
        self._answers = AnswerReader(
            bootstrap,
            kafka=kafka,
            topic_prefix=config.topic_prefix,
            fetch_wait_ms=config.fetch_wait_ms,
            on_recommendation=self._books.recommended,
            on_unreadable=self._books.unreadable,
            on_dead_letter=self._books.dead_letter,
            before_answers=self._books.keep,
        )
        try:
            self._answers.start()
            self._sender = EventSender(
                bootstrap,
                kafka=kafka,
                topic_prefix=config.topic_prefix,
                linger_ms=config.linger_ms,
                envelope=config.envelope,
                envelope_wait_ms=config.envelope_wait_ms,
                on_delivered=self._books.delivered,
                on_undelivered=self._books.undelivered,
            )
        except BaseException:
            self._answers.close()
            raise

    def send_all(self, events: Iterable[AnyUserEvent], *, items: Sequence[CatalogueItem]) -> None:
        """Sends every event at its due time, each item before the first event that happened after it."""
        config, pace = self.config, self.config.pace
        rng = np.random.default_rng(config.seed)
        catalogue = iter(items)
        item = next(catalogue, None)
        while item is not None and (config.items_first or item.occurred_at is None):
            self._send_item(item)
            item = next(catalogue, None)
        self._books.start_ns = time.monotonic_ns() + _LEAD_NS
        start_ms = time.time_ns() // _NS_PER_MS + _LEAD_NS // _NS_PER_MS
        cpu_s = time.process_time()
        first_ms = last_ms = None
        index = 0
        try:
            for sending, event in with_faults(events, faults=config.faults, rng=rng):
                if sending is not Sending.EVENT:
                    self._send_fault(sending, event, rng=rng, start_ms=start_ms)
                    continue
                if first_ms is None or last_ms is None:
                    first_ms = last_ms = event.occurred_at
                last_ms = max(last_ms, event.occurred_at)
                while item is not None and (item.occurred_at or 0) <= event.occurred_at:
                    self._send_item(item)
                    item = next(catalogue, None)
                due_ns = pace.due_ns(index, since_first_ms=last_ms - first_ms)
                if config.duration_s is not None and due_ns >= config.duration_s * _NS_PER_S:
                    break
                if not self._wait_until(due_ns):
                    break
                self._send(event, due_ns=due_ns, start_ms=start_ms)
                index += 1
        finally:
            self._elapsed_s = max(0.0, self._books.now_ns() / _NS_PER_S)  # stopped before the start: 0
            self._cpu_s = time.process_time() - cpu_s

    def settle(self) -> None:
        """Waits for the answers; returns when all are there, or none has come for `settle_s`."""
        self._sender.flush()
        counts = self._books.ledger.counts
        seen, since_ns = -1, self._books.now_ns()
        while True:
            self._answers.check()
            letters = self._answers.reads_dead_letters and counts.dead_letters < counts.poison_sent
            if self._books.waiting == 0 and not letters:
                return
            progress = counts.answered + counts.dead_letters
            if progress != seen:
                seen, since_ns = progress, self._books.now_ns()
            if self._books.now_ns() - since_ns > self.config.settle_s * _NS_PER_S:
                return
            self._show("settling")
            time.sleep(_STEP_S)

    def close(self) -> None:
        """Ends both clients and settles the books."""
        self._sender.close()
        self._answers.close()
        self._books.keep()
        self._books.ledger.close()

    def report(self, *, skipped_rows: dict[str, int], interrupted: bool) -> ReplayReport:
        """What was found out; call after `close`."""
        config, counts = self.config, self._books.ledger.counts
        per_s = 1 / self._elapsed_s if self._elapsed_s else 0.0
        if config.rate is not None:
            pace = f"{config.rate:g} events/s"
        else:
            pace = "flat out" if config.speed is None else f"{config.speed:g} times as fast as it happened"
        return ReplayReport(
            stream=str(config.path),
            pace=pace,
            counts=counts,
            skipped_rows=skipped_rows,
            elapsed_s=round(self._elapsed_s, 3),
            sent_per_s=round(counts.sent * per_s, 3),
            warmup_s=config.warmup_s,
            latency_ms=self._books.ledger.latencies.percentiles(from_ns=round(config.warmup_s * _NS_PER_S)),
            send_delay_ms=Percentiles.of(np.array(self._delays_ns, dtype=np.int64) / _NS_PER_MS),
            cpu_share=round(self._cpu_s * per_s, 3),
            load_average=round(os.getloadavg()[0], 2),
            interrupted=interrupted,
            timeline=self._books.ledger.latencies.timeline(),
        )

    # The sending thread.

    def _wait_until(self, due_ns: int) -> bool:
        """True at `due_ns`; False as soon as the run is to stop."""
        while True:
            now_ns = self._books.now_ns()
            self._sender.send_due(now_ns=now_ns)
            if now_ns >= self._show_ns:
                self._answers.check()
                self._show("sending")
            if self._stop.is_set():
                return False
            if now_ns >= due_ns:
                return True
            time.sleep(min(due_ns - now_ns, self._sender.due_in_ns(now_ns=now_ns), _SLICE_NS) / _NS_PER_S)

    def _send(self, event: AnyUserEvent, *, due_ns: int, start_ms: int) -> None:
        now_ns = self._books.now_ns()
        if self.config.pace.flat_out:
            due_ns = now_ns
        self._delays_ns.append(now_ns - due_ns)
        names = self.config.pseudonyms
        user = event.user_id if names is None else names.user(event.user_id)
        ticket = Ticket(user, due_ns, event_name(event) in self.config.awaited)
        self._books.sent(ticket)
        self._sender.send(
            self._dressed(event, due_ns=due_ns, start_ms=start_ms), ticket=ticket, now_ns=now_ns
        )

    def _send_fault(
        self, sending: Sending, event: AnyUserEvent, *, rng: np.random.Generator, start_ms: int
    ) -> None:
        event = self._dressed(event, due_ns=self._books.now_ns(), start_ms=start_ms)
        if sending is Sending.POISON:
            key = event.user_id.encode()
            self._sender.send_raw(poisoned(event, rng=rng), topic=topic_of(event), key=key)
            self._books.poison_sent()
        else:
            self._sender.send(event, ticket=None, now_ns=self._books.now_ns())
            self._books.duplicate_sent()

    def _send_item(self, item: CatalogueItem) -> None:
        self._sender.send_item(item)
        self._books.item_sent()

    def _dressed(self, event: AnyUserEvent, *, due_ns: int, start_ms: int) -> AnyUserEvent:
        config = self.config
        if config.rebase_time:
            event = replace(event, occurred_at=start_ms + due_ns // _NS_PER_MS)
        return replace(event, event_id=config.id_prefix + event.event_id) if config.id_prefix else event

    def _show(self, phase: str) -> None:
        now_ns = self._books.now_ns()
        if now_ns < self._show_ns:
            return
        self._show_ns = now_ns + _SHOW_NS
        counts, recent = self._books.ledger.counts, self._books.ledger.latencies.recent(2_000)
        share = None
        if self.config.limit:
            share = counts.sent / self.config.limit
        elif self.config.duration_s:
            share = min(1.0, now_ns / _NS_PER_S / self.config.duration_s)
        self.watcher.show(
            Moment(
                phase=phase,
                elapsed_s=now_ns / _NS_PER_S,
                share=share,
                line=f"{counts.sent:,} sent, {counts.sent * _NS_PER_S / max(now_ns, 1):,.0f}/s, "
                f"{self._books.waiting:,} waiting, p50 {recent.p50:,.0f} p99 {recent.p99:,.0f} ms",
            )
        )
