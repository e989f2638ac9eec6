"""From the source log to the slates: is every event answered, and is every slate what its id says?

What the contract allows of a slate that is made again after a crash: it has the same rec_id as the first one if
the model and the catalogue index have the same versions; its items and scores may have moved on, as popularity
and co-visitation have, and with them `made_at`, `fresh_ms`, `seen_offsets` and `degraded`. Not so its user, its
context, the arm that made it and the arm's propensity: they and the slate's chance follow from the state.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from events.errors import BadEvent
from events.ids import UserId
from events.recommendation import Recommendation, decode_recommendation, rec_id_of
from events.topics import USER_TOPICS
from load.chaos.findings import Finding, Place, Verdict, Wrong
from load.chaos.raw_log import RawRecord
from load.chaos.source_log import Logged, SourceLog, due, last_of

_NUMBER_OF = {topic.value: number for number, topic in enumerate(USER_TOPICS)}
_Slate = tuple[RawRecord, Recommendation]


def slate_verdict(source: SourceLog, records: Iterable[RawRecord], *, prefix: str = "") -> Verdict:
    """What the records of the recommendations topic say against the log. `prefix`: of the deployment's topics."""
    findings: list[Finding] = []
    slates: dict[tuple[int, str], list[_Slate]] = defaultdict(list)
    by_id: dict[str, _Slate] = {}
    made = repeated = 0
    for record in records:
        try:
            slate = decode_recommendation(record.value or b"")
        except BadEvent as error:
            findings.append(Finding(Wrong.DIVERGED, record.place, f"not a recommendation: {error}"))
            continue
        made += 1
        first = by_id.setdefault(slate.rec_id, (record, slate))
        if first[0] is not record:
            repeated += 1
            findings += _repeated(first, (record, slate))
        slates[record.partition, slate.user_id].append((record, slate))
    for at, history in sorted(source.users.items()):
        own = slates.get(at, [])
        findings += _unanswered(history, own, prefix=prefix)
        findings += _misplaced(history, own, prefix=prefix)
    for partition, user in sorted(set(slates) - set(source.users)):
        record = slates[partition, user][0][0]
        findings.append(Finding(Wrong.DIVERGED, record.place, f"a slate for {user}, who did nothing there"))
    asked = sum(due(one) for history in source.users.values() for one in history)
    return Verdict(
        tuple(findings), {"slates": made, "slates made again": repeated, "events due a slate": asked}
    )


def _seen(slate: Recommendation, *, partition: int, prefix: str) -> Mapping[str, int]:
    """Topic (without prefix) -> last offset that the slate knows of."""
    tail = f"-{partition}"
    return {
        place.removeprefix(prefix).removesuffix(tail): offset for place, offset in slate.seen_offsets.items()
    }


def _unanswered(history: Sequence[Logged], own: Sequence[_Slate], *, prefix: str) -> list[Finding]:
    known: dict[str, int] = {}
    for record, slate in own:
        for topic, offset in _seen(slate, partition=record.partition, prefix=prefix).items():
            known[topic] = max(known.get(topic, -1), offset)
    late = [one for one in history if due(one) and one.place.offset > known.get(one.place.topic, -1)]
    if not late:
        return []
    user = late[0].event.user_id
    story = tuple(
        f"slate {slate.rec_id} at {record.partition}@{record.offset} has seen "
        f"{dict(_seen(slate, partition=record.partition, prefix=prefix))}"
        for record, slate in own[-5:]
    )
    what = f"no slate of {user} has seen it, nor {len(late) - 1} later ones"
    return [Finding(Wrong.LOST, late[0].place, what, story, count=len(late))]


def _misplaced(history: Sequence[Logged], own: Sequence[_Slate], *, prefix: str) -> list[Finding]:
    """Slates whose id is not that of the last event of their user that they say they have seen."""
    findings = []
    for record, slate in own:
        last = last_of(history, seen=_seen(slate, partition=record.partition, prefix=prefix))
        ids = {_rec_id(slate, one.place) for one in last.values()}
        if slate.rec_id not in ids:
            places = [str(one.place) for one in last.values()]
            what = f"{slate.user_id}'s slate {slate.rec_id} does not follow from {' or '.join(places) or 'nothing'}"
            seen = f"it has seen {dict(slate.seen_offsets)} with model {slate.model_version}"
            place = next((one.place for one in last.values()), Place(record.topic, *record[1:3]))
            findings.append(Finding(Wrong.DIVERGED, place, what, (seen,)))
    return findings


def _rec_id(slate: Recommendation, place: Place) -> str:
    return rec_id_of(
        UserId(slate.user_id),
        seen_offsets={f"{_NUMBER_OF[place.topic]}-{place.partition}": place.offset},
        model_version=slate.model_version,
        index_version=slate.index_version,
    )


def _repeated(first: _Slate, again: _Slate) -> list[Finding]:
    one, two = first[1], again[1]
    for name in ("user_id", "policy", "model_version", "index_version"):
        before, after = getattr(one, name), getattr(two, name)
        if before != after:
            what = f"rec_id {one.rec_id} stands for two slates: {name} {before} and {after}"
            where = f"{first[0].place} and {again[0].place}"
            return [Finding(Wrong.DIVERGED, again[0].place, what, (where,))]
    return []
