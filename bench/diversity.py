"""What diversity costs and gives: one pass over a stream, slates of many strengths from the same scored candidates.

The pass is the prequential benchmark's, with the product's own recommender and learner; its bandit chooses and
learns as in a shop. Beside its slate, each question is answered at every fixed strength too. Nothing that is
learnt depends on which slate was shown, but for the bandit, so all of them are of one and the same ranker.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.prequential.engine import Engine, RankedOnce
from bench.prequential.headwater import SLATE, Headwater, benchmark_settings
from bench.prequential.variants import Variant
from bench.telling import Tell, silent
from load.prequential.beyond import ItemFacts, beyond_accuracy
from load.prequential.contender import Query, StreamInfo
from load.prequential.figures import item_facts
from load.prequential.prepared import Prepared
from load.prequential.running import run_contender
from load.prequential.scoring import target_ranks, unit_metrics
from load.prequential.units import ProtocolConfig, Units, known_before
from models.bandit import DEFAULT_ARMS
from models.slate import Bonus, SlateConfig, make_slates
from serving.recommender import Ranked
from streams.publisher import Record
from streams.settings import Settings

_TELL_EVERY = 2_000
BANDIT, PURE = "bandit", "pure"


@dataclass(frozen=True, slots=True)
class Strength:
    """A point of a curve: slates with this bonus."""

    name: str
    curve: str
    bonus: Bonus


def usual_strengths() -> tuple[Strength, ...]:
    """Pure ranking, the bandit's arms, and curves of each bonus alone and of all at once."""
    arms = [Strength(arm.name, "arms", arm.bonus) for arm in DEFAULT_ARMS if arm.bonus != Bonus()]
    alone = {
        "tail": {value: Bonus(tail=value) for value in (0.002, 0.004, 0.005, 0.007, 0.01)},
        "variety": {value: Bonus(variety=value) for value in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2)},
        "young": {value: Bonus(young=value) for value in (0.003, 0.005, 0.007, 0.01, 0.02)},
        "tail .0045 and young": {
            value: Bonus(tail=0.0045, young=value) for value in (0.004, 0.005, 0.006, 0.007, 0.009)
        },
    }
    medium = DEFAULT_ARMS[2].bonus
    scaled = [medium.scaled(factor) for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)]
    alone["all"] = {max(astuple(bonus)): bonus for bonus in scaled}
    points = [
        Strength(f"{curve} {value:g}", curve, bonus)
        for curve, bonuses in alone.items()
        for value, bonus in bonuses.items()
    ]
    return (Strength(PURE, PURE, Bonus()), *arms, *points)


class _ManySlates(RankedOnce):
    """Keeps the last ranking with its scores, so that other slates can be made from it."""

    scored: tuple[Ranked, NDArray[np.float32]] | None = None

    def draw(
        self,
        ranked: Ranked,
        *,
        scores: NDArray[np.float32],
        bonuses: NDArray[np.float32],
        seeds: NDArray[np.uint64],
    ) -> Any:
        """As Recommender.draw."""
        self.scored = ranked, scores
        return super().draw(ranked, scores=scores, bonuses=bonuses, seeds=seeds)

    def rows_at(self, bonuses: NDArray[np.float32], *, seed: int) -> NDArray[np.int32]:
        """(S, K) item rows of slates with bonuses (S, 3) from the last scores; the first without chance."""
        if self.scored is None:
            raise TypeError("nothing was recommended yet")
        ranked, scores = self.scored
        items = ranked.candidates.items  # (1, C)
        tail, young = self.sources.long_tail.is_tail(items), self.sources.long_tail.is_young(items)
        groups = self.sources.catalogue.groups(items)
        found = []
        firm = SlateConfig(k=self.config.slate.k, temperature=0.0)
        for part, config in ((bonuses[:1], firm), (bonuses[1:], self.config.slate)):
            s = len(part)
            slates = make_slates(
                np.repeat(scores, s, axis=0),
                tail=np.repeat(tail, s, axis=0),
                young=np.repeat(young, s, axis=0),
                groups=np.repeat(groups, s, axis=0),
                bonuses=part,
                seeds=np.full(s, seed, np.uint64),
                config=config,
            )
            picked = np.take_along_axis(items.repeat(s, axis=0), np.maximum(slates.positions, 0), axis=1)
            found.append(np.where(slates.positions < 0, 0, picked))
        return np.concatenate(found).astype(np.int32)


class _Watched(Headwater):
    """The contender with the bandit's slates; `lists` (S, n, K) gets the codes of the other strengths'."""

    def __init__(
        self,
        info: StreamInfo,
        *,
        settings: Settings,
        variant: Variant,
        strengths: Sequence[Strength],
        n_units: int,
        **named: Any,
    ) -> None:
        engine = Engine(settings, variant=variant, recommender=_ManySlates)
        super().__init__(info, settings=settings, variant=variant, engine=engine, **named)
        self._bonuses = np.array([astuple(strength.bonus) for strength in strengths], np.float32)
        self.lists = np.full((len(strengths), n_units, SLATE), -1, np.int32)

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """See Contender."""
        answer = super().recommend(query, k=k)
        recommender = self.engine.recommender
        if not isinstance(recommender, _ManySlates):
            raise TypeError(f"the recommender is {type(recommender)}")
        for place, rows in enumerate(recommender.rows_at(self._bonuses, seed=query.index)):
            codes = self.codes(rows)
            self.lists[place, query.index, : len(codes)] = codes
        return answer


def run_diversity(
    prepared: Prepared,
    *,
    protocol: ProtocolConfig,
    settings: Settings,
    vectors: Sequence[tuple[int, Record]] = (),
    strengths: Sequence[Strength] = (),
    deep: bool = False,
    seed: int = 7,
    tell: Tell = silent,
) -> dict[str, Any]:
    """The points by name with their figures, and what was measured on; plain values. `strengths` begin with
    the pure ranking; the usual ones where none are given."""
    info, units = prepared.info, prepared.units
    chosen = tuple(strengths) or usual_strengths()
    variant = Variant(deep=deep, slate=True)
    made: list[_Watched] = []

    def make() -> Headwater:
        made.append(
            _Watched(
                info,
                name="headwater-slate",
                variant=variant,
                settings=benchmark_settings(settings, variant=variant, seed=seed),
                vectors=vectors,
                strengths=chosen,
                n_units=len(units),
            )
        )
        return made[0]

    def seen(done: int) -> None:
        if done % _TELL_EVERY == 0:
            tell(f"{done:,} of {len(units):,} units")

    run = run_contender(make, units=units, info=info, seen=seen)
    judge = _Judge(units, protocol=protocol, prepared=prepared, facts=item_facts(info))
    points = {
        strength.name: {
            "curve": strength.curve,
            "bonus": dict(zip(Bonus.__slots__, astuple(strength.bonus), strict=True)),
            **judge.figures(lists),
        }
        for strength, lists in zip(chosen, made[0].lists, strict=True)
    }
    points[BANDIT] = {"curve": BANDIT, **judge.figures(run.lists)}
    pure = points[chosen[0].name]
    for point in points.values():
        point.update(_against(point, pure=pure))
    return {
        "points": points,
        "groups_are": judge.facts.groups_are or None,
        "young_targets": int(judge.young.sum()),
        "temperature": settings.serving.temperature,
        "bandit_arms": {
            context: dict(zip((arm.name for arm in made[0].engine.bandit.config.arms), shares, strict=True))
            for context, shares in zip(
                made[0].engine.bandit.config.contexts,
                made[0].engine.bandit.probabilities.tolist(),
                strict=True,
            )
        },
    }


class _Judge:
    """Figures of lists over the counted units."""

    def __init__(
        self, units: Units, *, protocol: ProtocolConfig, prepared: Prepared, facts: ItemFacts
    ) -> None:
        info = prepared.info
        self.units, self.facts, self.n_items = units, facts, info.n_items
        self.known = known_before(units, config=protocol, n_items=info.n_items, first_ts=info.item_first_ts)
        self.warm = self.known.counted & self.known.warm
        self.young = self.known.counted[units.owners] & self.known.young  # (T,)

    def figures(self, lists: NDArray[np.int32]) -> dict[str, float]:
        """Of lists (n, K): accuracy of the warm units and of all, the share of young targets found, and what
        `beyond_accuracy` says."""
        ranks = target_ranks(lists, units=self.units, n_items=self.n_items)
        metrics = unit_metrics(ranks, units=self.units, cuts=(SLATE,))
        found = {name: float(values[self.warm].mean()) for name, values in metrics.items()}
        found["recall_all@20"] = float(metrics["recall@20"][self.known.counted].mean())
        if self.young.any():
            found["young"] = float((ranks[self.young] >= 0).mean())
        return found | beyond_accuracy(
            lists, units=self.units, known=self.known, n_items=self.n_items, facts=self.facts
        )


def _against(point: dict[str, Any], *, pure: dict[str, Any]) -> dict[str, float]:
    """The relative loss of recall (above 0 is worse), and how many times pure ranking's exposure and entropy;
    what would be a share of nothing is left out."""
    found: dict[str, float] = {}
    for name, of in (("recall_loss", "recall@20"), ("recall_all_loss", "recall_all@20")):
        if pure[of] > 0:
            found[name] = 1.0 - point[of] / pure[of]
    entropies = [name for name in ("category_entropy_bits", "topic_entropy_bits") if name in point]
    for name, of in (("tail_times", "tail_exposure"), *(("entropy_times", name) for name in entropies)):
        if pure[of] > 0:
            found[name] = point[of] / pure[of]
    return found
