import numpy as np

from events.ids import ItemId, UserId
from events.recommendation import Recommendation
from index.sources.assembly import NAMES
from index.sources.catalogue import Catalogue
from serving.recommender import Recommendations
from serving.slate_record import REASONS, Asker, Provenance, records_of
from tests.serving.learners import LIMITS, START_MS

SOURCES = ("session_knn", "popularity", "trending")


def catalogue() -> Catalogue:
    """Rows 1 to 3 have ids a, b, c; row 4 is known by its hash alone."""
    made = Catalogue(LIMITS, dim=4)
    for row, name in enumerate("abc", start=1):
        made.upsert(row, item_id=ItemId(name), first_ms=START_MS, title=f"Item {name}" if name != "c" else "")
    return made


def record(
    items: list[int], *, place: int = 7, model_version: int = 3, propensity: float = 0.5
) -> Recommendation:
    k = len(items)
    slates = Recommendations(
        items=np.array([items], np.int32),
        scores=np.array([np.arange(k) + 0.123456], np.float32),
        propensities=np.full((1, k), propensity, np.float32),
        sources=np.array([[0b101, 0b010, 0b100, 0b001][:k]], np.int32),
        contexts=np.array([2], np.int32),
        arms=np.array([1], np.int32),
        arm_propensities=np.array([0.25], np.float32),
        deep_ms=0.0,
    )
    ann = Asker(UserId("ann"), {"1-0": place}, {"clicks-0": 9}, fresh_ms=12.34567, degraded="wide")
    (made,) = records_of(
        slates,
        [ann],
        catalogue=catalogue(),
        provenance=Provenance(
            made_at_ms=START_MS,
            model_version=model_version,
            index_version=5,
            source_names=SOURCES,
            arm_names=("plain", "exploring"),
            exploring_arms=frozenset({1}),
        ),
    )
    return made


def test_record_says_what_why_and_how_likely() -> None:
    made = record([1, 2, 3])
    assert [(i.item_id, i.item_name, i.slot) for i in made.items] == [
        ("a", "Item a", 0),
        ("b", "Item b", 1),
        ("c", None, 2),
    ]
    assert [i.sources for i in made.items] == [("session_knn", "trending"), ("popularity",), ("trending",)]
    assert made.items[0].reason == REASONS["session_knn"]
    assert [i.propensity for i in made.items] == [0.5] * 3
    assert made.items[1].score == 1.1235
    assert (made.policy.arm, made.policy.explored, made.policy.context) == ("exploring", True, 2)
    assert made.policy.arm_propensity == 0.25
    assert (made.model_version, made.index_version, made.made_at) == (3, 5, START_MS)
    assert (made.seen_offsets, made.fresh_ms, made.degraded) == ({"clicks-0": 9}, 12.346, "wide")


def test_padding_and_items_without_an_id_are_left_out_and_slots_have_no_gap() -> None:
    made = record([4, 2, 0, 1])
    assert [(i.item_id, i.slot) for i in made.items] == [("b", 0), ("a", 1)]


def test_id_follows_from_user_place_and_versions_alone() -> None:
    assert record([1]).rec_id == record([2, 3]).rec_id
    assert record([1]).rec_id != record([1], place=8).rec_id
    assert record([1]).rec_id != record([1], model_version=4).rec_id


def test_rounding_never_makes_an_impossible_probability() -> None:
    assert [i.propensity for i in record([1], propensity=1.0000001).items] == [1.0]
    assert [i.propensity for i in record([1], propensity=-1e-9).items] == [0.0]


def test_every_source_has_a_reason_to_tell() -> None:
    assert set(REASONS) == set(NAMES)
