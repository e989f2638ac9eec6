"""From the items to their vectors, from what is broken to the dead letters, from the log to the weights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from events.codec import decode_item
from events.errors import BadEvent
from events.item_vector import decode_item_vector
from events.types import CatalogueItem
from load.chaos.findings import Finding, Place, Verdict, Wrong
from load.chaos.raw_log import RawRecord
from load.chaos.source_log import SourceLog

_LATEST_MS = 4_102_444_800_000


def letters_verdict(source: SourceLog, letters: Iterable[RawRecord], *, prefix: str = "") -> Verdict:
    """Whether every broken record lies in the dead letters with its own bytes; twice is allowed, for a letter is
    written again when its record is redelivered. `prefix`: of the deployment's topics."""
    kept: dict[Place, set[bytes | None]] = defaultdict(set)
    findings = []
    for record in letters:
        headers = dict(record.headers)
        topic = headers.get("hw-source-topic", b"").decode().removeprefix(prefix)
        partition, offset = (int(headers.get(f"hw-source-{n}", b"-1")) for n in ("partition", "offset"))
        kept[Place(topic, partition, offset)].add(record.value)
    refused = {record.place: record for record in source.refused}
    for place, record in sorted(refused.items()):
        if place not in kept:
            findings.append(Finding(Wrong.LOST, place, "it is broken, and not in the dead letters"))
        elif kept[place] != {record.value}:
            findings.append(Finding(Wrong.DIVERGED, place, "its dead letter holds other bytes"))
    for place in sorted(set(kept) - set(refused)):
        findings.append(Finding(Wrong.LOST, place, "it is in the dead letters, and nothing is wrong with it"))
    return Verdict(tuple(findings), {"broken records": len(refused)})


def vectors_verdict(items: Iterable[RawRecord], vectors: Iterable[RawRecord]) -> Verdict:
    """Whether the last vector of every item is that of its last description: same title, price and time."""
    described: dict[str, tuple[RawRecord, CatalogueItem]] = {}
    for record in sorted(items):
        item = decode_item(record.value, now_ms=_LATEST_MS, key=record.key)
        if isinstance(item, CatalogueItem):
            described[item.item_id] = (record, item)
    last: dict[str, RawRecord] = {(record.key or b"").decode(): record for record in sorted(vectors)}
    findings = []
    for item_id, (record, item) in described.items():
        made = last.get(item_id)
        if made is None:
            findings.append(Finding(Wrong.LOST, record.place, f"item {item_id} has no vector"))
            continue
        try:
            vector = decode_item_vector(made.value or b"")
        except BadEvent as error:
            findings.append(Finding(Wrong.DIVERGED, record.place, f"{made.place} is no vector: {error}"))
            continue
        should = (item.item_name, item.price or 0.0, item.occurred_at or record.timestamp_ms)
        if (vector.title, vector.price, vector.first_ms) != should:
            what = f"the last vector of item {item_id} is of an older description"
            history = (f"described as {should}", f"{made.place} says {vector.title}, {vector.price}")
            findings.append(Finding(Wrong.LOST, record.place, what, history))
        elif bool(item.text()) != bool(vector.vector):
            findings.append(Finding(Wrong.DIVERGED, record.place, f"the vector of item {item_id} is empty"))
    return Verdict(tuple(findings), {"items": len(described)})


def weights_verdict(published: Iterable[tuple[Place, int, str]], control: Mapping[int, str]) -> Verdict:
    """Whether every adapter that was published is, bit for bit, the one of an undisturbed run.

    published: place, version and digest of each adapter record, repeated ones too. control: version -> digest, of
    a run over the same log in the same order that nobody disturbed.
    """
    findings = []
    seen: dict[int, Place] = {}
    count = 0
    for place, version, digest in published:
        count += 1
        should = control.get(version)
        first = seen.setdefault(version, place)
        if should is None:
            what = f"adapter {version} was published; the undisturbed run has none of that version"
            findings.append(Finding(Wrong.DIVERGED, place, what))
        elif digest != should:
            what = f"adapter {version} differs from the undisturbed run's: {digest[:12]} and {should[:12]}"
            findings.append(Finding(Wrong.DIVERGED, place, what, (f"first published at {first}",)))
    never = len(set(range(1, max(seen, default=0))) - seen.keys())
    checked = {"adapters": count, "adapter versions": len(seen), "adapter versions never published": never}
    return Verdict(tuple(findings), checked)
