"""From the source log to the states: does every event count in its user's state, and once?

A plain fold of the log, in objects and counters, of all that does not depend on how the topics of a partition
were interleaved; where a user's events lie on one topic, of the order too. It shares no code with `serving`.
"""

from collections import Counter
from collections.abc import Sequence

from events.ids import stable_hash
from events.topics import USER_TOPICS
from events.types import AddToCart, Purchase, Refund, RemoveFromCart, SelectItem, ViewItem
from load.chaos.findings import Finding, Place, Verdict, Wrong
from load.chaos.source_log import REMEMBERED, Logged, SourceLog, last_of
from load.chaos.stored_state import Stored, StoredState, read_state

_HISTORY = 256  # distinct items kept of a user; of one with more, the items are not compared
_TOPIC_NUMBER = {topic.value: number for number, topic in enumerate(USER_TOPICS)}


def state_verdict(source: SourceLog, stored: Stored) -> Verdict:
    """What the stored states, watermarks and waiting lists say against the log."""
    findings: list[Finding] = []
    for at, history in sorted(source.users.items()):
        raw = stored.states.get(at)
        findings += _user(at, history, raw=raw)
    for partition, user in sorted(set(stored.states) - set(source.users)):
        place = Place("", partition, 0)
        findings.append(
            Finding(Wrong.DIVERGED, place, f"there is a state of {user}, of whom the log is silent")
        )
    findings += _marks(source, stored)
    return Verdict(tuple(findings), {"users": len(source.users), "events": source.events})


def _user(at: tuple[int, str], history: Sequence[Logged], *, raw: bytes | None) -> list[Finding]:
    counting = [one for one in history if one.counts]
    if not counting:
        return []
    first = counting[0].place
    told = (f"user {at[1]}, {len(counting)} events on {len({one.place.topic for one in history})} topics",)
    if raw is None:
        what = "its user has no state at all"
        return [Finding(Wrong.LOST, first, what, told, count=len(counting))]
    try:
        state = read_state(raw)
    except ValueError as error:
        return [Finding(Wrong.DIVERGED, first, f"its user's state cannot be read: {error}", told)]
    if state.events != len(counting):
        return [_miscounted(counting, state, told=told)]
    problems = list(_differences(counting, state))
    last = counting[-1].place
    return [Finding(Wrong.DIVERGED, last, what, told) for what in problems]


def _miscounted(counting: Sequence[Logged], state: StoredState, *, told: tuple[str, ...]) -> Finding:
    """The first event that the state's traces do not show, or the last where they show all."""
    off = state.events - len(counting)
    wrong = Wrong.LOST if off < 0 else Wrong.DUPLICATED
    odd = next((one for one in counting if _trace(one, counting, state) * off < 0), counting[-1])
    story = [
        f"{one.place} {type(one.event).__name__} {one.event.event_id}: "
        f"{'remembered' if stable_hash(one.event.event_id) in state.ids else 'not remembered'}"
        for one in counting[-REMEMBERED:]
    ]
    what = f"the state holds {state.events} events, the log {len(counting)}"
    return Finding(wrong, odd.place, what, (*told, *story), count=abs(off))


def _trace(one: Logged, counting: Sequence[Logged], state: StoredState) -> int:
    """1: the state shows less of the event's items than the log; -1: more; 0: as much."""
    expected = _item_counts(counting)
    for item in one.event.items:
        number = stable_hash(item.item_id)
        has, should = state.items.get(number, (0, 0)), expected.get(number, (0, 0))
        if has != should:
            return 1 if sum(has) < sum(should) else -1
    return 0


def _differences(counting: Sequence[Logged], state: StoredState) -> Sequence[str]:
    found: list[str] = []

    def same(name: str, has: object, should: object) -> None:
        if has != should:
            found.append(f"{name} is {has} in the state and {should} by the log")

    times = [one.event.occurred_at for one in counting]
    same("the first time", state.first_ms, min(times))
    same("the last time", state.last_ms, max(times))
    bought = sum(isinstance(one.event, Purchase) and bool(one.event.items) for one in counting)
    same("the number of purchases", state.purchases, bought)
    same("the number of event ids", state.remembered, len(counting))
    ids = {stable_hash(one.event.event_id) for one in counting}
    if not state.ids <= ids:
        found.append(f"{len(state.ids - ids)} remembered event ids are not in the log")
    lasts = last_of(counting, seen={one.place.topic: one.place.offset for one in counting})
    places = {(_TOPIC_NUMBER[t], one.place.partition, one.place.offset) for t, one in lasts.items()}
    if state.place not in places:
        found.append(f"the last event applied is {state.place} in the state and one of {places} by the log")
    if len(lasts) == 1:
        tail = {stable_hash(one.event.event_id) for one in counting[-REMEMBERED:]}
        same("the set of the last event ids", sorted(state.ids), sorted(tail))
    counts = _item_counts(counting)
    if len(counts) <= _HISTORY and state.items != counts:
        odd = sorted(k for k in counts.keys() | state.items if counts.get(k) != state.items.get(k))
        has, should = state.items.get(odd[0]), counts.get(odd[0])
        found.append(f"{len(odd)} items differ, the first {odd[0]}: {has} in the state, {should} by the log")
    return found


def _item_counts(counting: Sequence[Logged]) -> dict[int, tuple[int, int]]:
    """Hash of the item -> views and purchases. Taking back never goes below zero, nor makes an item known."""
    views: Counter[int] = Counter()
    purchases: Counter[int] = Counter()
    known: dict[int, None] = {}
    for one in counting:
        items = dict.fromkeys(stable_hash(item.item_id) for item in one.event.items)
        if isinstance(one.event, ViewItem | SelectItem | AddToCart | Purchase):
            known.update(items)
        for item in items:
            match one.event:
                case Purchase():
                    purchases[item] += 1
                case Refund():
                    purchases[item] = max(purchases[item] - 1, 0)
                case ViewItem() | SelectItem() | AddToCart():
                    views[item] += 1
                case RemoveFromCart():
                    views[item] = max(views[item] - 1, 0)
                case _:
                    pass
    return {item: (views[item], purchases[item]) for item in known}


def _marks(source: SourceLog, stored: Stored) -> list[Finding]:
    findings = []
    for partition, ends in sorted(source.ends.items()):
        applied = stored.applied.get(partition, {})
        for topic, end in sorted(ends.items()):
            at = applied.get(topic, -1)
            if at < end:
                what = f"applied up to {at}, the log ends at {end}"
                findings.append(Finding(Wrong.LOST, Place(topic, partition, at + 1), what, count=end - at))
            elif at > end:
                what = f"the watermark is {at}, the log ends at {end}"
                findings.append(Finding(Wrong.DIVERGED, Place(topic, partition, end), what))
    for partition, waiting in sorted(stored.waiting.items()):
        if waiting:
            what = f"{waiting} users still wait for a slate"
            findings.append(Finding(Wrong.LOST, Place("", partition, 0), what, count=waiting))
    return findings
