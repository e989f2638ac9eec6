"""What is learnt serves only while it proves itself; what poison taught is found, undone and said."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from models.errors import ConfigError
from models.guard import lower_half_surprise
from models.learner import Learner, LearnerConfig
from models.promotion import Decision, Judged, Promotion, PromotionConfig, Verdict
from models.ranker import Ranker, RankerConfig
from models.replay import ReplayConfig
from models.state import under_prefix
from tests.models.planted import DIM
from tests.models.poisoned import (
    FEATURES,
    TABLE,
    Poison,
    Shoppers,
    at_random,
    least_liked,
    pushed,
    tasted,
)

CONFIG = RankerConfig(wide_hidden=(32, 16), deep=None, threads=1)
LEARNER = LearnerConfig(replay=ReplayConfig(recent=512, reservoir=512, candidates=24))
UNGUARDED = dataclasses.replace(LEARNER, promotion=None)
EVERY = 8  # batches of 32 between two adapters
POISONED = range(100, 160)  # batches
SHOPPERS = Shoppers()
MARGIN = PromotionConfig().margin


@dataclass
class Life:
    """A learner, and the ranker that serves what it publishes."""

    learner: Learner
    serving: Ranker
    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)  # with the batch
    served: dict[int, float] = field(default_factory=dict)  # NDCG of good shoppers, by batch

    def learn(
        self, batches: range, *, poison: Poison | None = None, share: float = 0.3, look: bool = True
    ) -> "Life":
        for number in batches:
            unit = tasted(number, poison=poison if number in POISONED else None, share=share)
            self.learner.validate(unit.batch, TABLE, gains=unit.gains)
            self.learner.learn(unit.batch, TABLE, gains=unit.gains)
            if (number + 1) % EVERY == 0:
                verdict = self.learner.promote(stamp=(number + 1) // EVERY)
                self.verdicts.append((number, verdict))
                guard = self.learner.guard
                if guard is None or verdict.candidate_serves:
                    self.serving.restore(self.learner.ranker.snapshot())
                else:
                    self.serving.restore(under_prefix("ranker", guard.anchor))
                if look and number >= POISONED.start:
                    self.served[number] = SHOPPERS.ndcg(self.serving)
        return self

    def decisions(self) -> list[Decision]:
        return [verdict.decision for _, verdict in self.verdicts]


def life(config: LearnerConfig = LEARNER) -> Life:
    return Life(
        Learner(CONFIG, config, n_features=FEATURES, dim=DIM), Ranker(CONFIG, n_features=FEATURES, dim=DIM)
    )


@pytest.fixture(scope="module")
def undisturbed() -> Life:
    return life().learn(range(208))


@pytest.mark.parametrize("poison", [least_liked, pushed, at_random])
def test_thirty_percent_of_poisoned_labels_are_found_and_undone(poison: Poison, undisturbed: Life) -> None:
    poisoned = life().learn(range(208), poison=poison)
    lost = {number: undisturbed.served[number] - ndcg for number, ndcg in poisoned.served.items()}
    assert max(lost.values()) < MARGIN
    rolled_back = [number for number, v in poisoned.verdicts if v.decision is Decision.ROLLED_BACK]
    assert rolled_back[0] in POISONED
    why = next(v.why for number, v in poisoned.verdicts if number == rolled_back[0])
    assert "labels" in why or "ranks worse" in why
    assert poisoned.decisions()[-1] in (Decision.PROMOTED, Decision.CONFIRMED)
    assert SHOPPERS.ndcg(poisoned.learner.ranker) > SHOPPERS.ndcg(undisturbed.learner.ranker) - MARGIN


@pytest.mark.parametrize("poison", [least_liked, pushed])
def test_without_the_guard_the_same_poison_serves(poison: Poison, undisturbed: Life) -> None:
    poisoned = life(UNGUARDED).learn(range(POISONED.stop), poison=poison)
    lost = [undisturbed.served[number] - ndcg for number, ndcg in poisoned.served.items()]
    assert max(lost) > MARGIN


def test_good_stream_is_learnt_to_the_same_bits_with_and_without_the_guard(undisturbed: Life) -> None:
    assert set(undisturbed.decisions()) == {Decision.PROMOTED, Decision.CONFIRMED}
    plain = life(UNGUARDED).learn(range(208), look=False)
    ours, theirs = undisturbed.learner.ranker.snapshot(), plain.learner.ranker.snapshot()
    assert [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()] == []


def test_change_of_the_majority_is_not_held_back_for_long() -> None:
    changed = life().learn(range(POISONED.start + 24), poison=least_liked, share=1.0, look=False)
    late = [verdict for number, verdict in changed.verdicts if number >= POISONED.start]
    assert late[-1].candidate_serves
    assert late[1].candidate_serves or late[2].candidate_serves


def test_state_comes_back_to_the_bit_while_the_anchor_serves() -> None:
    whole = life().learn(range(152), poison=least_liked, look=False)
    first = life().learn(range(124), poison=least_liked, look=False)
    assert first.learner.guard is not None
    assert first.learner.guard.promotion.holding
    second = life()
    second.learner.restore(first.learner.snapshot())
    second.learn(range(124, 152), poison=least_liked, look=False)
    assert second.verdicts == whole.verdicts[-len(second.verdicts) :]
    ours, theirs = second.learner.snapshot(), whole.learner.snapshot()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()] == []


def test_weights_that_are_not_finite_never_serve() -> None:
    one = life().learn(range(16), look=False)
    with torch.no_grad():
        one.learner.ranker.wide._mean_weights[0][:] = float("nan")
    verdict = one.learner.promote(stamp=3)
    assert (verdict.decision, verdict.why) == (Decision.ROLLED_BACK, "weights are not finite")
    assert all(np.isfinite(array).all() for array in one.learner.ranker.snapshot().values())


def test_weights_whose_scores_are_not_finite_never_serve() -> None:
    one = life().learn(range(16), look=False)
    with torch.no_grad():
        one.learner.ranker.wide._mean_weights[-1][:] = 3e38
        one.learner.ranker.wide._packed = []
    unit = tasted(16)
    one.learner.validate(unit.batch, TABLE, gains=unit.gains)
    verdict = one.learner.promote(stamp=3)
    assert (verdict.decision, verdict.why) == (Decision.ROLLED_BACK, "scores are not finite")
    assert np.isfinite(one.learner.ranker.score(unit.batch, TABLE).wide).all()


SMALL = PromotionConfig(window=8, min_units=4, grace_units=0, patience_units=16, sigma=0)


def told(
    promotion: Promotion,
    *,
    candidate: float = 0.5,
    anchor: float = 0.5,
    surprise: float = 0.0,
    own: float = 0.0,
) -> Decision:
    units = [np.full(4, value, np.float32) for value in (candidate, anchor)]
    surprises = [np.full(4, value) for value in (surprise, own)]
    promotion.observe(Judged(units[0], units[1], surprises[0], surprises[1], finite=True))
    return promotion.decide().decision


def test_change_of_a_minority_that_lasts_is_accepted() -> None:
    promotion = Promotion(SMALL)
    told(promotion)
    told(promotion)
    decisions = [told(promotion, candidate=0.6, surprise=0.3) for _ in range(6)]
    assert decisions[0] is Decision.ROLLED_BACK
    assert set(decisions[1:-2]) == {Decision.HELD}
    assert Decision.ACCEPTED in decisions


def test_labels_that_do_not_fit_an_anchor_that_has_learnt_nothing_say_nothing() -> None:
    promotion = Promotion(SMALL)
    assert {told(promotion, candidate=0.6, surprise=0.3)} == {Decision.CONFIRMED}


def test_candidate_that_is_less_calibrated_than_the_anchor_is_held_back() -> None:
    promotion = Promotion(SMALL)
    told(promotion)
    assert told(promotion, own=0.3) is Decision.HELD


def test_candidate_that_restarts_after_it_ranked_worse_has_to_prove_itself() -> None:
    promotion = Promotion(SMALL)
    told(promotion)
    assert told(promotion, candidate=0.3) is Decision.ROLLED_BACK
    assert told(promotion, candidate=0.499) is Decision.RELEASED
    assert told(promotion, candidate=0.51) is Decision.CONFIRMED


def test_surprise_is_what_was_found_less_what_was_predicted() -> None:
    scores = np.array([[2.0, 1.0, 0.0, -1.0, -np.inf]], np.float32)
    mass = np.exp(scores[0, :4]) / np.exp(scores[0, :4]).sum()
    low = lower_half_surprise(scores, gains=np.array([[0, 0, 1, 1, 0]], np.float32))
    np.testing.assert_allclose(low, [1 - mass[2:].sum()], rtol=1e-6)
    high = lower_half_surprise(scores, gains=np.array([[3, 0, 0, 0, 0]], np.float32))
    np.testing.assert_allclose(high, [-mass[2:].sum()], rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"min_units": 1}, {"min_units": 600}, {"margin": -0.1}, {"sample_every": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(PromotionConfig(), **wrong)  # type: ignore[arg-type]


def test_promotion_switched_on_later_begins_with_the_weights_there_are() -> None:
    plain = life(UNGUARDED).learn(range(8), look=False)
    guarded = life()
    guarded.learner.restore(plain.learner.snapshot())
    assert guarded.learner.guard is not None
    anchor = under_prefix("ranker", guarded.learner.guard.anchor)
    assert {n: a.tobytes() for n, a in anchor.items()} == {
        n: a.tobytes() for n, a in plain.learner.ranker.snapshot().items()
    }
    again = life(UNGUARDED)
    again.learner.restore(guarded.learner.snapshot())
    assert again.learner.units == plain.learner.units
