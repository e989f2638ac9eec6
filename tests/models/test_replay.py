import numpy as np
import pytest

from models.errors import InputError
from models.ranker import WideView
from models.replay import Replay, ReplayConfig

F = 2


def view_of(number: int, *, users: int = 4, candidates: int = 12) -> WideView:
    """Slates whose mean tells which batch and user they came from."""
    rng = np.random.default_rng(number)
    valid = np.ones((users, candidates), np.bool_)
    names = number * users + np.arange(users)
    mean = np.repeat(names[:, None], F, axis=1).astype(np.float32)
    return WideView(
        rng.normal(size=(users * candidates, 2 * F)).astype(np.float32), valid, mean, np.ones_like(mean)
    )


def fill(replay: Replay, *, batches: range) -> None:
    for number in batches:
        view = view_of(number)
        scores = np.random.default_rng(number).normal(size=view.valid.shape).astype(np.float32)
        gains = np.zeros_like(scores)
        gains[:, number % 12] = 1.0
        replay.add(replay.reduce(view, users=np.arange(4), scores=scores, gains=gains, logq=None))


def remembered(replay: Replay) -> set[int]:
    return set(replay.snapshot()["mean"][:, 0].astype(int).tolist())


def test_recent_units_are_all_there_and_earlier_ones_are_a_sample_without_repeats() -> None:
    replay = Replay(ReplayConfig(recent=20, reservoir=30, candidates=6), n_features=F, seed=1)
    fill(replay, batches=range(100))
    names = remembered(replay)
    assert len(replay) == 50
    assert len(names) == 50
    assert set(range(380, 400)) <= names
    assert {name // 100 for name in names} == {0, 1, 2, 3}


def test_reservoir_is_uniform_over_the_past() -> None:
    early = 0
    for seed in range(60):
        replay = Replay(ReplayConfig(recent=4, reservoir=20, candidates=6), n_features=F, seed=seed)
        fill(replay, batches=range(26))
        early += sum(name < 50 for name in remembered(replay))
    assert early / 60 == pytest.approx(10.0, abs=1.2)  # half of 100 offered units, 20 places


def test_memory_does_not_grow_on_ten_times_the_data() -> None:
    replay = Replay(ReplayConfig(recent=8, reservoir=8, candidates=6), n_features=F, seed=1)
    fill(replay, batches=range(10))
    size = replay.nbytes, {name: array.shape for name, array in replay.snapshot().items()}
    fill(replay, batches=range(10, 110))
    assert (replay.nbytes, {name: array.shape for name, array in replay.snapshot().items()}) == size


def test_positives_are_always_kept_and_the_sample_stands_for_the_rest() -> None:
    replay = Replay(ReplayConfig(recent=40, reservoir=0, candidates=6), n_features=F, seed=1)
    fill(replay, batches=range(10))
    units = replay.draw(200)
    assert (units.gains.sum(1) == 1.0).all()
    assert units.valid.all()
    weights = np.exp(-units.logq).sum(1)
    np.testing.assert_allclose(weights, 12.0, rtol=1e-5)


def test_slates_smaller_than_what_is_kept_are_padded() -> None:
    replay = Replay(ReplayConfig(recent=4, reservoir=0, candidates=10), n_features=F, seed=1)
    fill(replay, batches=range(1))
    small = view_of(7, candidates=3)
    reduced = replay.reduce(
        small,
        users=np.arange(4),
        scores=np.zeros((4, 3), np.float32),
        gains=np.eye(4, 3, dtype=np.float32),
        logq=np.full((4, 3), -0.5, np.float32),
    )
    replay.add(reduced)
    units = replay.draw(50)
    assert (units.valid.sum(1) == 3).all()
    assert not units.z[~units.valid].any()
    assert set(units.logq[units.valid].tolist()) == {-0.5}


def test_what_is_drawn_is_what_was_reduced() -> None:
    replay = Replay(ReplayConfig(recent=4, reservoir=0, candidates=6), n_features=F, seed=1)
    view = view_of(0)
    scores = np.random.default_rng(0).normal(size=view.valid.shape).astype(np.float32)
    reduced = replay.reduce(
        view, users=np.array([2]), scores=scores[:1], gains=np.eye(1, 12, 5, dtype=np.float32), logq=None
    )
    replay.add(reduced)
    drawn = replay.draw(1)
    assert np.array_equal(drawn.z, reduced.z.astype(np.float16).astype(np.float32))
    for name in ("gains", "logq", "valid"):
        assert np.array_equal(getattr(drawn, name), getattr(reduced, name)), name
    assert np.array_equal(drawn.slates.mean, view.slate_mean[[2]])
    both = reduced.with_more(drawn)
    assert (len(both.gains), len(both.slates.sd)) == (2, 2)


def test_restored_memory_draws_and_forgets_the_same() -> None:
    config = ReplayConfig(recent=8, reservoir=8, candidates=6)
    replay, copy = Replay(config, n_features=F, seed=1), Replay(config, n_features=F, seed=99)
    fill(replay, batches=range(3))
    copy.restore(replay.snapshot())
    for one in (replay, copy):
        fill(one, batches=range(3, 9))
    np.testing.assert_array_equal(replay.draw(30).z, copy.draw(30).z)
    assert remembered(replay) == remembered(copy)


def test_arrays_of_another_size_are_refused_and_nothing_changes() -> None:
    replay = Replay(ReplayConfig(recent=8, reservoir=8, candidates=6), n_features=F, seed=1)
    fill(replay, batches=range(3))
    before = remembered(replay)
    other = Replay(ReplayConfig(recent=4, reservoir=2, candidates=6), n_features=F, seed=1)
    fill(other, batches=range(9))
    with pytest.raises(InputError):
        replay.restore(other.snapshot())
    assert remembered(replay) == before
    with pytest.raises(InputError, match="empty"):
        Replay(ReplayConfig(), n_features=F, seed=1).draw(1)


@pytest.mark.parametrize("since", [3, 10, 12])
def test_what_came_since_is_forgotten_and_what_came_before_takes_its_place(since: int) -> None:
    replay = Replay(ReplayConfig(recent=20, reservoir=30, candidates=6), n_features=F, seed=1)
    fill(replay, batches=range(since))
    before, seen = remembered(replay), replay.seen
    fill(replay, batches=range(since, since + 4))
    replay.forget_since(seen)
    assert remembered(replay) <= before
    assert len(remembered(replay)) >= min(seen, 4)
    assert set(replay.draw(200).slates.mean[:, 0].astype(int).tolist()) <= before


def test_memory_of_nothing_but_what_is_forgotten_is_empty_unless_the_reservoir_has_older_units() -> None:
    young = Replay(ReplayConfig(recent=20, reservoir=30, candidates=6), n_features=F, seed=1)
    fill(young, batches=range(3))
    young.forget_since(0)
    assert len(young) == 0
    old = Replay(ReplayConfig(recent=20, reservoir=30, candidates=6), n_features=F, seed=1)
    fill(old, batches=range(20))
    fill(old, batches=range(20, 25))  # pushes all of the latest units out
    old.forget_since(80)
    assert max(remembered(old)) < 80
