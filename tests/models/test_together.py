import numpy as np

from events.ids import ItemId, UserId
from events.types import AnyUserEvent, Item, Purchase, Refund, ViewItem
from models.together import pairs_of, sessions

MINUTE = 60_000


def event(
    kind: type[Purchase] | type[Refund] | type[ViewItem], user: str, minute: int, *items: str
) -> AnyUserEvent:
    return kind(
        event_id=f"{user}-{minute}",
        occurred_at=1_700_000_000_000 + minute * MINUTE,
        user_id=UserId(user),
        items=tuple(Item(item_id=ItemId(item)) for item in items),
    )


def test_a_basket_is_one_group_and_clicks_without_a_pause_are_one() -> None:
    stream = [
        event(ViewItem, "ann", 0, "a"),
        event(Purchase, "bob", 1, "x", "y", "x"),
        event(ViewItem, "ann", 20, "b"),
        event(Refund, "bob", 25, "x", "z"),
        event(ViewItem, "ann", 80, "c"),
    ]
    assert list(sessions(stream, gap_ms=30 * MINUTE)) == [["x", "y"], ["a", "b"], ["c"]]


def test_pairs_are_of_one_group_and_of_known_items_only() -> None:
    groups = [["a", "b", "c", "nameless"], ["d", "e"], ["a"], ["d", "nameless"]]
    known = {name: at for at, name in enumerate("abcde")}
    pairs = pairs_of(groups * 20, known=known, per_group=4, seed=1)
    assert len(pairs) == 20 * 2
    group_of = np.array([0, 0, 0, 1, 1])
    assert (group_of[pairs[:, 0]] == group_of[pairs[:, 1]]).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert np.array_equal(pairs, pairs_of(groups * 20, known=known, per_group=4, seed=1))


def test_no_groups_give_no_pairs() -> None:
    assert pairs_of([], known={}, per_group=4, seed=1).shape == (0, 2)
