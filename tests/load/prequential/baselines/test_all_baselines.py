"""What holds for every baseline."""

import numpy as np
import pytest

from load.prequential.baselines import FACTORIES
from tests.load.prequential.baselines.made import answers, random_baskets, random_sessions

STREAMS = {"session": random_sessions, "basket": random_baskets}


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("name", FACTORIES)
def test_answers_are_distinct_learned_and_at_most_k(name: str, protocol: str) -> None:
    info, units = STREAMS[protocol](n=200)
    learned: set[int] = set()
    full = 0
    for unit, best in zip(units, answers(FACTORIES[name](info, 0), units, k=6), strict=True):
        assert best.dtype == np.int64
        assert len(best) <= 6
        assert len(set(best.tolist())) == len(best)
        assert set(best.tolist()) <= learned
        full += len(best) == 6
        learned |= set(unit.items.tolist())
    assert full > 180


@pytest.mark.parametrize("name", FACTORIES)
def test_same_seed_gives_the_same_answers_and_units_are_left_alone(name: str) -> None:
    info, units = random_baskets(n=80)
    before = [unit.items.copy() for unit in units]
    first = answers(FACTORIES[name](info, 3), units)
    again = answers(FACTORIES[name](info, 3), units)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(np.array_equal(unit.items, kept) for unit, kept in zip(units, before, strict=True))


@pytest.mark.parametrize("name", FACTORIES)
def test_the_item_just_taken_is_not_proposed_in_a_session(name: str) -> None:
    info, units = random_sessions(n=150)
    last: dict[int, int] = {}
    for unit, best in zip(units, answers(FACTORIES[name](info, 0), units), strict=True):
        assert last.get(unit.session, -1) not in best.tolist()
        last[unit.session] = int(unit.items[0])


@pytest.mark.parametrize("name", FACTORIES)
def test_the_name_is_the_one_it_is_listed_under(name: str) -> None:
    assert FACTORIES[name](random_baskets(n=20)[0], 0).name == name


@pytest.mark.parametrize("name", FACTORIES)
def test_repeats_that_are_only_shown_break_no_rule(name: str) -> None:
    info, units = random_sessions(n=150, repeats=2)
    learned: set[int] = set()
    last: dict[int, int] = {}
    for unit, best in zip(units, answers(FACTORIES[name](info, 0), units, again=2), strict=True):
        assert len(set(best.tolist())) == len(best)
        assert set(best.tolist()) <= learned
        assert last.get(unit.session, -1) not in best.tolist()
        last[unit.session] = int(unit.items[0])
        learned |= set(unit.items.tolist())


@pytest.mark.parametrize("name", ["sequential-rules", "vs-knn", "stan", "vstan"])
def test_a_repeat_is_no_step_of_a_sequence(name: str) -> None:
    """With every item shown equally often again, only the times of sessions differ, by a second."""
    info, units = random_sessions(n=150)
    plain = answers(FACTORIES[name](info, 0), units)
    shown = answers(FACTORIES[name](info, 0), units, again=1)
    assert np.mean([np.array_equal(a, b) for a, b in zip(plain, shown, strict=True)]) > 0.95
