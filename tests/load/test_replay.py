"""Replay against a real broker, with a recommender's outside that answers as told."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from kafka import KafkaConsumer, TopicPartition

from events.codec import decode, decode_item
from events.ids import ItemId, UserId, partition_of
from events.topics import Topic
from events.types import AnyUserEvent, CatalogueItem, Item, Purchase, ViewItem, ViewItemList
from load.errors import BadLoadConfig, BadStream, BrokerTrouble
from load.faults import Faults
from load.replay import replay_events, run_replay
from load.replay_config import ReplayConfig
from load.report import ReplayReport
from streams.settings import KafkaSettings
from tests.load.answering import Answering

T0 = 1_300_000_000_000


def views(n: int, *, users: int = 20) -> Iterator[AnyUserEvent]:
    for number in range(n):
        yield ViewItem(
            event_id=f"e{number}",
            occurred_at=T0 + number,
            user_id=UserId(f"u{number % users}"),
            items=(Item(item_id=ItemId("a")),),
        )


def config(shop: KafkaSettings, **changes: object) -> ReplayConfig:
    settled = {"path": Path("views"), "rate": 400.0, "settle_s": 2.0, "topic_prefix": shop.topic_prefix}
    return ReplayConfig(**(settled | changes))  # type: ignore[arg-type]


def replay(shop: KafkaSettings, events: Iterator[AnyUserEvent], **changes: object) -> ReplayReport:
    return replay_events(
        events, config=config(shop, **changes), bootstrap=shop.bootstrap_servers, kafka=shop.kafka_python()
    )


def answering(shop: KafkaSettings, **how: object) -> Answering:
    return Answering(shop.bootstrap_servers, topic_prefix=shop.topic_prefix, **how)  # type: ignore[arg-type]


def read(shop: KafkaSettings, topic: Topic, *, n: int) -> list[tuple[int, bytes | None, bytes]]:
    """The first n records of a topic: partition, key, value."""
    name = f"{shop.topic_prefix}{topic.value}"
    consumer = KafkaConsumer(
        bootstrap_servers=shop.bootstrap_servers, fetch_max_wait_ms=20, consumer_timeout_ms=10_000
    )
    consumer.assign([TopicPartition(name, number) for number in consumer.partitions_for_topic(name)])
    consumer.seek_to_beginning()
    found: list[tuple[int, bytes | None, bytes]] = []
    while len(found) < n:
        record = next(consumer)
        found.append((record.partition, record.key, record.value))
    consumer.close()
    return found


def test_every_event_gets_its_recommendation_and_its_latency(shop: KafkaSettings) -> None:
    with answering(shop, degraded="wide"):
        report = replay(shop, views(200))
    counts = report.counts
    assert (counts.sent, counts.delivered, counts.awaited, counts.answered) == (200, 200, 200, 200)
    assert (counts.lost, counts.duplicate_recommendations, counts.undelivered) == (0, 0, 0)
    assert 20 <= counts.recommendations == counts.degraded_recommendations <= 200
    assert report.latency_ms.n == 200
    assert 0 < report.latency_ms.p50 <= report.latency_ms.p99 <= report.latency_ms.max < 60_000
    assert sum(second.answered for second in report.timeline) == 200
    assert report.sent_per_s <= 420
    assert "--id-prefix" not in report.to_text()


def test_forgotten_shoppers_events_are_lost_and_repeated_records_are_counted(shop: KafkaSettings) -> None:
    with answering(shop, forget=lambda user: user == "u3", repeat=True):
        report = replay(shop, views(100), settle_s=0.5)
    counts = report.counts
    assert (counts.lost, counts.answered) == (5, 95)
    assert counts.duplicate_recommendations == counts.recommendations // 2 > 0
    assert "--id-prefix" in report.to_text()


def test_faults_are_sent_and_do_not_count_as_lost(shop: KafkaSettings) -> None:
    faults = Faults(duplicates=0.2, disorder=0.2, poison=0.2, late_by=10)
    with answering(shop) as recommender:
        counts = replay(shop, views(150), faults=faults).counts
    assert (counts.sent, counts.answered, counts.lost) == (150, 150, 0)
    assert counts.duplicates_sent > 10
    assert counts.poison_sent > 10
    assert recommender.events == 150 + counts.duplicates_sent
    assert recommender.rejects == counts.dead_letters == counts.poison_sent


def test_envelopes_hold_events_of_their_own_partition_and_all_are_answered(shop: KafkaSettings) -> None:
    with answering(shop):
        report = replay(shop, views(200), envelope=10, rate=2_000.0)
    assert (report.counts.delivered, report.counts.answered) == (200, 200)
    records = read(shop, Topic.CLICKS, n=20)
    sizes = []
    for partition, _, value in records:
        events = decode(value, topic=Topic.CLICKS, now_ms=T0 + 10_000).events
        sizes.append(len(events))
        assert {partition_of(event.user_id.encode(), partitions=4) for event in events} == {partition}
    assert max(sizes) == 10


def test_impressions_are_sent_and_not_waited_for(shop: KafkaSettings) -> None:
    lists = (
        ViewItemList(
            event_id=f"l{number}",
            occurred_at=T0,
            user_id=UserId("u"),
            items=(Item(item_id=ItemId("a")),),
        )
        for number in range(5)
    )
    counts = replay(shop, lists).counts
    assert (counts.sent, counts.delivered, counts.awaited, counts.lost) == (5, 5, 0, 0)


def test_a_stalled_system_cannot_hide_its_stall(shop: KafkaSettings) -> None:
    """Nothing answers before the 100th event is sent, and the sender does not wait: so an event that was due
    (1 - x) seconds before that one has a latency of that at least."""
    recommender = answering(shop)  # its place in the log is taken here, before the first event

    def stalling() -> Iterator[AnyUserEvent]:
        for number, event in enumerate(views(150)):
            if number == 101:
                recommender.__enter__()
            yield event

    try:
        report = replay(shop, stalling(), rate=100.0)
    finally:
        recommender.__exit__()
    assert report.counts.answered == 150
    assert report.latency_ms.max >= 1_000
    first_second = report.timeline[0]
    assert (first_second.second, first_second.due) == (0, 100)
    assert first_second.p50_ms >= 500


def test_items_are_published_before_the_first_event_after_them(shop: KafkaSettings) -> None:
    items = [
        CatalogueItem(item_id=ItemId(f"i{at}"), item_name="mug", occurred_at=T0 + at) for at in (0, 3, 50)
    ]
    counts = replay_events(
        views(10),
        config=config(shop, awaited=frozenset()),
        bootstrap=shop.bootstrap_servers,
        items=items,
    ).counts
    assert counts.items_sent == 2
    sent = [decode_item(value, now_ms=T0, key=key) for _, key, value in read(shop, Topic.ITEMS, n=2)]
    assert {item.item_id for item in sent} == {"i0", "i3"}


def test_rebased_times_and_prefixed_ids(shop: KafkaSettings) -> None:
    replay(shop, views(1), awaited=frozenset(), rebase_time=True, id_prefix="again-")
    ((_, key, value),) = read(shop, Topic.CLICKS, n=1)
    event = decode(value, topic=Topic.CLICKS, now_ms=4_000_000_000_000, key=key).events[0]
    assert event.event_id == "again-e0"
    assert event.occurred_at > T0 + 86_400_000


def test_a_file_is_replayed_with_its_catalogue_and_the_report_says_what_was_left_out(
    shop: KafkaSettings, tmp_path: Path
) -> None:
    stream, items = tmp_path / "shop.csv", tmp_path / "items.csv"
    stream.write_text(
        f"ts,user,item,event\n{T0},u,a,purchase\n{T0},u,b,purchase\n{T0},,c,view\n{T0},v,a,view\n"
    )
    items.write_text("item,text\na,Red mug\nb,Blue mug\n")
    with answering(shop):
        report = run_replay(
            config(shop, path=stream, items=items, rate=None, speed=1.0, limit=10),
            bootstrap=shop.bootstrap_servers,
        )
    assert (report.counts.sent, report.counts.answered, report.counts.items_sent) == (2, 2, 2)
    assert report.skipped_rows == {"no user": 1}
    ((_, _, value),) = read(shop, Topic.PURCHASES, n=1)
    event = decode(value, topic=Topic.PURCHASES, now_ms=T0).events[0]
    assert isinstance(event, Purchase)
    assert [item.item_id for item in event.items] == ["a", "b"]
    as_json = json.loads(report.to_json())
    assert as_json["counts"]["answered"] == 2
    assert as_json["latency_ms"]["n"] == 2
    assert "awaited / answered / lost" in report.to_text()


def test_skip_limit_duration_and_stop_end_the_sending(shop: KafkaSettings, tmp_path: Path) -> None:
    stream = tmp_path / "shop.csv"
    stream.write_text("ts,user,item\n" + "".join(f"{T0 + at},u{at},a\n" for at in range(50)))
    quiet = {"path": stream, "awaited": frozenset()}
    cut = run_replay(config(shop, skip=45, limit=2, **quiet), bootstrap=shop.bootstrap_servers)
    assert cut.counts.sent == 2
    short = run_replay(config(shop, duration_s=0.02, rate=100.0, **quiet), bootstrap=shop.bootstrap_servers)
    assert short.counts.sent == 2
    stop = Event()
    stop.set()
    none = run_replay(config(shop, **quiet), bootstrap=shop.bootstrap_servers, stop=stop)
    assert (none.counts.sent, none.elapsed_s, none.sent_per_s, none.cpu_share) == (0, 0, 0, 0)


def test_an_interrupt_ends_the_sending_and_what_was_sent_is_still_settled(shop: KafkaSettings) -> None:
    def interrupted() -> Iterator[AnyUserEvent]:
        yield from views(30)
        raise KeyboardInterrupt

    with answering(shop):
        report = replay(shop, interrupted())
    assert report.interrupted
    assert (report.counts.sent, report.counts.answered) == (30, 30)


def test_a_stream_that_breaks_ends_the_run_with_its_error(shop: KafkaSettings, tmp_path: Path) -> None:
    stream = tmp_path / "events.jsonl"
    stream.write_bytes(b"{")
    with pytest.raises(BadStream, match=r"events\.jsonl:1"):
        run_replay(config(shop, path=stream), bootstrap=shop.bootstrap_servers)


@pytest.mark.parametrize(
    ("rows", "skip", "says"),
    [
        ("", 0, r"no event is left \(rows left out: none\)"),
        (f"{T0},,a\n", 0, r"no event is left \(rows left out: 1 no user\)"),
        (f"{T0},u,a\n", 5, "no event is left after the first 5 events"),
    ],
)
def test_a_file_that_leaves_nothing_to_send_is_refused(
    tmp_path: Path, rows: str, skip: int, says: str
) -> None:
    stream = tmp_path / "shop.csv"
    stream.write_text(f"ts,user,item\n{rows}")
    with pytest.raises(BadStream, match=says):
        run_replay(ReplayConfig(path=stream, skip=skip), bootstrap="127.0.0.1:1")


def test_flat_out_loses_nothing(shop: KafkaSettings) -> None:
    with answering(shop):
        report = replay(shop, views(3_000, users=200), rate=None)
    assert (report.counts.delivered, report.counts.answered, report.counts.lost) == (3_000, 3_000, 0)


def test_missing_topics_and_brokers_say_what_to_do(kafka: KafkaSettings) -> None:
    with pytest.raises(BrokerTrouble, match="headwater topics ensure"):
        replay(kafka, views(1))
    with pytest.raises(BrokerTrouble, match=r"no Kafka at 127\.0\.0\.1:1"):
        replay_events(
            views(1),
            config=config(kafka),
            bootstrap="127.0.0.1:1",
            kafka={"bootstrap_timeout_ms": 200},
        )


@pytest.mark.parametrize(
    "field",
    [
        {"rate": 1.0, "speed": 2.0},
        {"envelope": 0},
        {"settle_s": -1.0},
        {"limit": -1},
        {"skip": -1},
        {"awaited": frozenset({"wave"})},
        {"duration_s": float("nan")},
    ],
)
def test_settings_that_cannot_be_run_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(BadLoadConfig, match="received"):
        ReplayConfig(**({"path": Path("x")} | field))  # type: ignore[arg-type]
