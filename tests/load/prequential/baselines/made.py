"""Streams made in memory, and what plain Python says the counting baselines should answer."""

import numpy as np
from numpy.typing import NDArray

from load.prequential.contender import Contender, Query, Repeat, StreamInfo, Unit

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def stream(
    baskets: list[tuple[int, int, list[int]]], *, protocol: str, every_ms: int = HOUR_MS, repeats: int = 0
) -> tuple[StreamInfo, list[Unit]]:
    """A stream of (user, session, items), one unit every `every_ms`; its rows leave room for `repeats` a unit."""
    units: list[Unit] = []
    items: list[int] = []
    users: list[int] = []
    times: list[int] = []
    for index, (user, session, taken) in enumerate(baskets):
        rows = slice(len(items), len(items) + len(taken))
        at_ms = START_MS + index * every_ms
        units.append(Unit(index, at_ms, user, session, np.array(taken, np.int64), rows))
        taken = [*taken, *taken[-1:] * repeats]
        items += taken
        users += [user] * len(taken)
        times += [at_ms] * len(taken)
    info = StreamInfo(
        n_items=max(items) + 1,
        n_users=max(users) + 1,
        n_sessions=max(session for _, session, _ in baskets) + 1,
        n_units=len(units),
        protocol=protocol,
        ts=np.array(times, np.int64),
        item=np.array(items, np.int64),
        user=np.array(users, np.int64),
        event=np.zeros(len(items), np.int16),
        event_names=["purchase"],
        qty=None,
        price=None,
        user_names=[f"u{u}" for u in range(max(users) + 1)],
        item_names=[f"i{i}" for i in range(max(items) + 1)],
    )
    return info, units


def random_sessions(
    *, n: int, items: int = 25, users: int = 12, seed: int = 1, repeats: int = 0
) -> tuple[StreamInfo, list[Unit]]:
    """Interleaved sessions of random items that follow each other, no item twice running in a session."""
    rng = np.random.default_rng(seed)
    session_of: dict[int, int] = {}
    last: dict[int, int] = {}
    sessions = 0
    rows: list[tuple[int, int, list[int]]] = []
    for _ in range(n):
        user = int(rng.integers(users))
        if user not in session_of or rng.random() < 0.15:
            session_of[user] = sessions
            sessions += 1
            last[user] = -1
        item = int(rng.integers(items)) if last[user] < 0 else int((last[user] + rng.integers(1, 6)) % items)
        rows.append((user, session_of[user], [item]))
        last[user] = item
    return stream(rows, protocol="session", repeats=repeats)


def random_baskets(
    *, n: int, items: int = 25, users: int = 12, seed: int = 1
) -> tuple[StreamInfo, list[Unit]]:
    """Baskets of one to six random items, each user's from a half of the items."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        user = int(rng.integers(users))
        taken = rng.choice(items // 2, size=int(rng.integers(1, 7)), replace=False) + (user % 2) * (
            items // 2
        )
        rows.append((user, user, taken.tolist()))
    return stream(rows, protocol="basket")


def answers(
    contender: Contender, units: list[Unit], *, k: int = 5, again: int = 0
) -> list[NDArray[np.int64]]:
    """What the contender says to every unit before it learns it; after each it sees the unit's last item
    `again` times more, a second apart."""
    said = []
    for unit in units:
        said.append(contender.recommend(Query(unit.index, unit.at_ms, unit.user, unit.session), k=k))
        contender.learn(unit)
        last = slice(unit.rows.stop - 1, unit.rows.stop)
        for more in range(1, again + 1):
            at_ms = unit.at_ms + more * 1_000
            contender.see(Repeat(at_ms, unit.user, unit.session, unit.items[-1:], last))
    return said


def hit_rate(said: list[NDArray[np.int64]], units: list[Unit], *, after: int) -> float:
    """The mean share of a unit's items found, from unit `after` on."""
    pairs = zip(said[after:], units[after:], strict=True)
    return float(np.mean([np.isin(unit.items, best).mean() for best, unit in pairs]))


def same_order_by_score(best: NDArray[np.int64], scores: dict[int, float]) -> bool:
    """Whether `best` begins with the best of `scores`, whatever the order of equals."""
    right = sorted(scores.values(), reverse=True)[: len(best)]
    found = [scores.get(int(item), -1.0) for item in best[: len(right)]]
    return bool(np.allclose(found, right, rtol=1e-9))
