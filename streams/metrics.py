"""Prometheus metrics of one worker, in a registry of its own: no globals, so that tests don't mix.

Times are in milliseconds, and their names say so. What decides never reads a metric.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

FRESHNESS_BUCKETS_MS = (
    2,
    5,
    10,
    15,
    20,
    25,
    30,
    40,
    50,
    75,
    100,
    150,
    250,
    500,
    1000,
    2500,
    5000,
    15000,
    60000,
)
STAGE_BUCKETS_MS = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 25, 50, 100, 250, 1000)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Milliseconds(Histogram):
    """A histogram of milliseconds."""

    @contextmanager
    def time_ms(self) -> Iterator[None]:
        """Observe how long the `with` took."""
        start = perf_counter()
        try:
            yield
        finally:
            self.observe((perf_counter() - start) * 1000)


@contextmanager
def timed_ms(histogram: Histogram) -> Iterator[None]:
    """Observe how long the block takes, in milliseconds."""
    started = perf_counter()
    yield
    histogram.observe((perf_counter() - started) * 1e3)


class Metrics:
    """Every metric that a worker has; a role uses those that concern it."""

    def __init__(self, *, role: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._server: Any = None
        self._collect_runtime()
        self._make_serving()
        self._make_rebuild()
        self._make_log_position()
        self._make_learning()
        self.ready = Gauge(
            "headwater_ready",
            "1 once the worker has its partitions and has read what it must know",
            registry=self.registry,
        )
        self._info = Gauge(
            "headwater_worker_info", "1, with the worker's role", ["role"], registry=self.registry
        )
        self._info.labels(role=role).set(1)

    def _collect_runtime(self) -> None:
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _make_serving(self) -> None:
        registry = self.registry
        self.freshness_ms = Milliseconds(
            "headwater_freshness_ms",
            "From an event's arrival in Kafka to the making of its slate",
            buckets=FRESHNESS_BUCKETS_MS,
            registry=registry,
        )
        self.stage_ms = Milliseconds(
            "headwater_stage_ms",
            "Time of one stage of a batch: decode, read, fold, sources, features, wide, deep, slate, write",
            ["stage"],
            buckets=STAGE_BUCKETS_MS,
            registry=registry,
        )
        self.batch_events = Histogram(
            "headwater_batch_events", "Events of a micro-batch", buckets=BATCH_BUCKETS, registry=registry
        )
        self.recommendations = Counter(
            "headwater_recommendations", "Recommendations published", registry=registry
        )
        self.degradations = Counter(
            "headwater_degradations",
            "Slates that went without something, by what",
            ["kind"],
            registry=registry,
        )
        self.pending_partitions = Gauge(
            "headwater_pending_partitions",
            "Partitions in which slates wait for a backlog to be caught up",
            registry=registry,
        )
        self.source_bytes = Gauge(
            "headwater_source_bytes", "Memory of all candidate sources", registry=registry
        )
        self.source_evictions = Counter(
            "headwater_source_evictions",
            "Items and users that the sources forgot to make room for others: sources.items, sources.users",
            ["what"],
            registry=registry,
        )
        self.index_items = Gauge("headwater_index_items", "Items in the text index", registry=registry)
        self.model_version = Gauge("headwater_model_version", "Adapter version in use", registry=registry)
        self.adapters_refused = Counter(
            "headwater_adapters_refused",
            "Adapters not used, by why: damaged, too-large, other-ranker, wrong-shape, not-finite, slow",
            ["reason"],
            registry=registry,
        )
        self.adapter_pinned = Gauge(
            "headwater_adapter_pinned", "1 while a pinned adapter serves", registry=registry
        )
        self.index_version = Gauge("headwater_index_version", "Index version in use", registry=registry)
        self.adapter_apply_ms = Milliseconds(
            "headwater_adapter_apply_ms",
            "From an adapter's arrival in Kafka to its use in serving",
            buckets=FRESHNESS_BUCKETS_MS,
            registry=registry,
        )
        self.item_apply_ms = Milliseconds(
            "headwater_item_apply_ms",
            "From an item vector's arrival in Kafka to its being retrievable",
            buckets=FRESHNESS_BUCKETS_MS,
            registry=registry,
        )

    def _make_rebuild(self) -> None:
        registry = self.registry
        self.store_away = Gauge(
            "headwater_store_away", "1 while the user store does not answer, else 0", registry=registry
        )
        self.rebuilds = Counter(
            "headwater_rebuilds", "Partitions whose states were found to lack events", registry=registry
        )
        self.rebuilding_partitions = Gauge(
            "headwater_rebuilding_partitions",
            "Partitions whose states lack events that are replayed from the log",
            registry=registry,
        )
        self.rebuild_left = Gauge(
            "headwater_rebuild_left_records",
            "Records to replay of the partition that is rebuilt now",
            registry=registry,
        )
        self.replayed = Counter(
            "headwater_replayed_events", "Events that were replayed into states", registry=registry
        )

    def _make_log_position(self) -> None:
        registry = self.registry
        self.events = Counter("headwater_events", "Events taken in, by topic", ["topic"], registry=registry)
        self.source_events = Counter(
            "headwater_source_events",
            "Events learnt by the candidate sources, of all partitions",
            registry=registry,
        )
        self.duplicates = Counter(
            "headwater_duplicates",
            "Events that had been applied before, by topic",
            ["topic"],
            registry=registry,
        )
        self.anomalies = Counter(
            "headwater_anomalies",
            "Events that moved neither sources nor model, by kind (duplicate, over-budget)",
            ["kind"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "headwater_dead_letters", "Events set aside, by reason", ["reason"], registry=registry
        )
        self.lag_events = Gauge(
            "headwater_lag_events",
            "Records between the position and the Fetch high-water mark",
            ["topic", "partition"],
            registry=registry,
        )

    def _make_learning(self) -> None:
        registry = self.registry
        self.prequential = Gauge(
            "headwater_prequential",
            "Test-then-train score over the sliding window, by ranker and measure (recall@20, mrr@20)",
            ["ranker", "measure"],
            registry=registry,
        )
        self.prequential_units = Counter(
            "headwater_prequential_units", "Outcomes scored before they were learned from", registry=registry
        )
        self.learner_steps = Counter(
            "headwater_learner_steps",
            "Training steps, by result (taken, guarded)",
            ["result"],
            registry=registry,
        )
        self.learner_loss = Gauge(
            "headwater_learner_loss", "Loss of the last step", ["part"], registry=registry
        )
        self.deep_gate = Gauge(
            "headwater_deep_gate", "1 while the transformer pays and is served, else 0", registry=registry
        )
        self.drifts = Counter("headwater_drifts", "Changes of taste detected", registry=registry)
        self.exploration = Gauge(
            "headwater_exploration",
            "What exploration is multiplied by: above 1 for a while after a drift was detected",
            registry=registry,
        )
        self.remembered = Gauge(
            "headwater_remembered_items",
            "How many of a shopper's latest items count, for a while after a drift; 0, as nearly always: all",
            registry=registry,
        )
        self.adapters_published = Counter(
            "headwater_adapters_published", "Adapters published", registry=registry
        )
        self.promotions = Counter(
            "headwater_promotions",
            "Adapters that were due, by what was decided: promoted, confirmed, accepted, held, rolled-back, "
            "released",
            ["decision"],
            registry=registry,
        )
        self.promotion_holding = Gauge(
            "headwater_promotion_holding",
            "1 while an older adapter serves because what was learnt since did not prove itself",
            registry=registry,
        )
        self.disk_failures = Counter(
            "headwater_disk_failures",
            "What the disk did not take: snapshot, journal, adapter, tidying",
            ["what"],
            registry=registry,
        )
        self.snapshot_unixtime = Gauge(
            "headwater_snapshot_unixtime_seconds", "When the last snapshot was complete", registry=registry
        )
        self.arm_pulls = Counter(
            "headwater_arm_pulls", "Slates by arm of the diversity bandit", ["arm"], registry=registry
        )
        self.slate_clicks = Counter(
            "headwater_slate_clicks",
            "Clicked slates by arm of the diversity bandit",
            ["arm"],
            registry=registry,
        )

    def set_lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Show the lag of each (topic, partition) that this worker reads now, and of no other.

        Partitions that another worker has taken over disappear, so that sums over workers stay right.
        """
        self.lag_events.clear()
        for (topic, partition), lag in lags.items():
            self.lag_events.labels(topic=topic, partition=str(partition)).set(max(0, lag))

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Answer GET /metrics on `host`:`port` from a thread of its own; the port, a free one for 0.

        Raises OSError when the port is taken.
        """
        server, _thread = start_http_server(port, addr=host, registry=self.registry)
        self._server = server
        return int(server.server_port)

    def close(self) -> None:
        """Stop answering; does nothing before `serve`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
