"""Records as a shop in trouble, a broken client or an attacker would send them, each with the name of its kind."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from msgspec.json import encode

from events.limits import DAY_MS, EARLIEST_MS, MAX_RECORD_BYTES
from events.topics import TOPIC_OF, Topic
from load.damage import JUNK, mutated, replace_value

_YEAR_MS = 365 * DAY_MS
_NAMES = (
    (
        "view_item_list",
        50,
    ),  # most of what is good is no unit for the learner, whose time would be all there is
    ("search", 24),
    ("view_item", 5),
    ("select_item", 3),
    ("add_to_cart", 3),
    ("remove_from_cart", 5),
    ("purchase", 4),
    ("refund", 6),
)
_ITEMS = {"view_item_list": 8, "purchase": 5, "refund": 2, "search": 0}  # at most; 1 for the others
_KEPT = 256  # records that damage may take parts of, and that may come again
BOMB = 1_000_000  # items of the largest list


class FuzzRecord(NamedTuple):
    """One record to send; Kafka's default partitioner places it by its key."""

    kind: str
    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class FuzzShop:
    """Whose events they are: a user keeps to one topic, so that the order of their events is known."""

    users: int = 2_000  # of each topic
    items: int = 400
    titles: int = 300  # distinct texts of the catalogue


class Fuzzer:
    """`records(n)` of all kinds in the shares of `SHARES`; the same seed and time give the same records.

    Valid events are of the year before `now_ms`; what is refused for its time is years away from any bound that
    moves with the clock.
    """

    def __init__(self, shop: FuzzShop, *, seed: int, now_ms: int) -> None:
        self._shop = shop
        self._chance = Random(seed)
        self._now_ms = now_ms
        self._numbers = itertools.count()
        self._sent: list[FuzzRecord] = []  # valid ones, the latest `_KEPT`
        self._events, self._weights = zip(*_NAMES, strict=True)

    def records(self, n: int) -> Iterator[FuzzRecord]:
        """`n` records, every kind among them where `n` allows."""
        kinds = list(SHARES)
        weights = [SHARES[kind][0] for kind in kinds]
        for number in range(n):
            first = number < len(kinds)
            kind = kinds[number] if first else self._chance.choices(kinds, weights)[0]
            yield SHARES[kind][1](self)._replace(kind=kind)

    def valid(self) -> FuzzRecord:
        return self._remembered(self._record(self._event()))

    def envelope(self) -> FuzzRecord:
        name = self._name()
        events = [self._event(name) for _ in range(self._chance.randrange(2, 9))]
        key = events[0]["user_id"].encode()
        for event in events:
            event["user_id"] = events[0]["user_id"]
        return self._remembered(FuzzRecord("", TOPIC_OF[name], key, encode({"events": events})))

    def repeated(self) -> FuzzRecord:
        return self._chance.choice(self._sent) if self._sent else self.valid()

    def late(self) -> FuzzRecord:
        return self._record(
            self._event() | {"occurred_at": self._chance.randrange(EARLIEST_MS, self._now_ms)}
        )

    def catalogue(self) -> FuzzRecord:
        item = self._item()
        return FuzzRecord("", Topic.ITEMS, item["item_id"].encode(), encode(item))

    def removed(self) -> FuzzRecord:
        return FuzzRecord("", Topic.ITEMS, self._item()["item_id"].encode(), None)

    def field(self) -> FuzzRecord:
        """One value of the right event replaced, left out, renamed or doubled."""
        record = self._record(self._event())
        data = bytearray(record.value or b"")
        match self._chance.randrange(4):
            case 0 | 1:
                replace_value(data, self._chance.choice(JUNK), chance=self._chance)
            case 2:
                data = bytearray(data.replace(b'_id":', b'_ID":', 1))
            case _:
                names = ("event", "event_id", "occurred_at", "user_id", "items")
                fields = self._event()
                del fields[self._chance.choice(names[:4])]
                data = bytearray(encode(fields))
        return record._replace(value=bytes(data))

    def bytes_(self) -> FuzzRecord:
        return self._damaged(self._record(self._event()))

    def envelope_bytes(self) -> FuzzRecord:
        return self._damaged(self.envelope())

    def catalogue_bytes(self) -> FuzzRecord:
        return self._damaged(self.catalogue())

    def raw(self) -> FuzzRecord:
        record = self._record(self._event())
        return record._replace(value=self._chance.randbytes(self._chance.randrange(0, 200)))

    def not_finite(self) -> FuzzRecord:
        word = self._chance.choice((b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400"))
        return self._replaced(b'"price":1.5', b'"price":' + word)

    def surrogate(self) -> FuzzRecord:
        half = self._chance.choice((rb"\ud83d", rb"\udc00", b"\xed\xa0\x80", b"\xf0\x9f\x98"))
        return self._replaced(b'"event_id":"', b'"event_id":"' + half)

    def time(self) -> FuzzRecord:
        past = self._chance.randrange(-(1 << 62), EARLIEST_MS)
        future = self._chance.randrange(self._now_ms + 2 * _YEAR_MS, 1 << 63)
        text = self._chance.choice(("1999-12-31T23:59:59Z", "2199-01-01T00:00:00+02:00", "12-09-2011", "now"))
        return self._record(self._event() | {"occurred_at": self._chance.choice((past, future, text, -1, 0))})

    def long_id(self) -> FuzzRecord:
        field = self._chance.choice(("event_id", "user_id", "session_id", "rec_id"))
        return self._record(self._event() | {field: "i" * self._chance.randrange(5_000, 10_000)})

    def deep(self) -> FuzzRecord:
        depth = round(2_000 * 20 ** self._chance.random())
        opening = self._chance.choice((b"[", b'{"a":', b'{"events":['))
        return self._replaced(b'"event_id":"', b'"x":' + opening * depth + b',"event_id":"')

    def bomb(self) -> FuzzRecord:
        """Lists of up to a million items, of events or of something else."""
        count = round(20_000 * (BOMB / 20_000) ** self._chance.random())
        unit, place = self._chance.choice(((b"0,", b"items"), (b"{},", b"events"), (b"NaN,", b"events")))
        count = min(count, 2_000_000 // len(unit))
        record = self._record(self._event())
        return record._replace(value=b'{"%s":[' % place + unit * (count - 1) + unit[:-1] + b"]}")

    def oversized(self) -> FuzzRecord:
        size = self._chance.choice((1, 1_000, 300_000, 1_050_000, 1_400_000))
        return self._record(self._event() | {"pad": "p" * (MAX_RECORD_BYTES + size)})

    def wrong_key(self) -> FuzzRecord:
        key = self._chance.choice((b"somebody-else", b"\xff\xfe", b"k" * 10_000))
        return self._record(self._event())._replace(key=key)

    def headers(self) -> FuzzRecord:
        """CloudEvents headers, right and wrong, on an event without an id; and headers of ours, forged."""
        fields = self._event()
        identifier = fields.pop("event_id")
        some: tuple[tuple[str, bytes | None], ...] = self._chance.choice(
            (
                (("ce_id", identifier.encode()),),
                (("ce_id", b"\xff"),),
                (("ce_id", None), ("hw-attempts", None)),
                (("hw-attempts", b"many"), ("hw-reason", b"none"), ("hw-source-offset", b"7")),
            )
        )
        return self._record(fields)._replace(headers=some)

    def _name(self) -> str:
        return str(self._chance.choices(self._events, self._weights)[0])

    def _event(self, name: str | None = None) -> dict[str, Any]:
        name = name or self._name()
        chance, topic = self._chance, TOPIC_OF[name]
        number = next(self._numbers)
        event: dict[str, Any] = {
            "event": name,
            "event_id": f"e-{number}",
            "occurred_at": self._now_ms - _YEAR_MS + number * 20 % (_YEAR_MS - DAY_MS),
            "user_id": f"{topic.value}-{chance.randrange(self._shop.users)}",
        }
        if chance.random() < 0.3:
            event["rec_id"] = f"r-{number // 7}"
        if name == "search":
            return event | {"search_term": "lantern"}
        items = [
            {"item_id": f"i-{chance.randrange(self._shop.items)}", "price": 1.5}
            for _ in range(chance.randint(1, _ITEMS.get(name, 1)))
        ]
        return event | {"items": items}

    def _item(self) -> dict[str, Any]:
        title = f"hanging lantern no {self._chance.randrange(self._shop.titles)}"
        return {"item_id": f"i-{self._chance.randrange(self._shop.items)}", "item_name": title, "price": 1.5}

    def _record(self, event: dict[str, Any]) -> FuzzRecord:
        topic = TOPIC_OF.get(event.get("event", ""), Topic.CLICKS)
        key = event.get("user_id")
        return FuzzRecord("", topic, None if key is None else key.encode(), encode(event))

    def _replaced(self, old: bytes, new: bytes) -> FuzzRecord:
        """An event of which `old`, or its first field, is `new`."""
        record = self._record(self._event("purchase"))
        return record._replace(value=(record.value or b"").replace(old, new, 1))

    def _damaged(self, record: FuzzRecord) -> FuzzRecord:
        others = [sent.value for sent in self._sent if sent.value] or [b"{}"]
        return record._replace(value=mutated(record.value or b"", others=others, chance=self._chance))

    def _remembered(self, record: FuzzRecord) -> FuzzRecord:
        if len(self._sent) < _KEPT:
            self._sent.append(record)
        else:
            self._sent[self._chance.randrange(_KEPT)] = record
        return record


SHARES: dict[str, tuple[float, Callable[[Fuzzer], FuzzRecord]]] = {
    "valid": (100, Fuzzer.valid),
    "valid, envelope": (8, Fuzzer.envelope),
    "valid, sent again": (20, Fuzzer.repeated),
    "valid, years late": (10, Fuzzer.late),
    "valid, catalogue": (12, Fuzzer.catalogue),
    "valid, removed from the catalogue": (1, Fuzzer.removed),
    "a field mutated": (340, Fuzzer.field),
    "bytes mutated": (200, Fuzzer.bytes_),
    "bytes of an envelope mutated": (12, Fuzzer.envelope_bytes),
    "bytes of a catalogue record mutated": (12, Fuzzer.catalogue_bytes),
    "random bytes": (180, Fuzzer.raw),
    "NaN and infinity": (25, Fuzzer.not_finite),
    "lone surrogates": (25, Fuzzer.surrogate),
    "far past and future": (30, Fuzzer.time),
    "ids of 5 to 10 kB": (5, Fuzzer.long_id),
    "another user's key": (10, Fuzzer.wrong_key),
    "headers": (10, Fuzzer.headers),
    "2,000 to 40,000 deep": (1.5, Fuzzer.deep),
    "bombs of up to 1,000,000 items": (0.4, Fuzzer.bomb),
    "over a megabyte": (0.15, Fuzzer.oversized),
}
"""The kinds: share in thousandths, about, and how one is made."""
