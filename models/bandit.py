"""How much diversity to put into a slate: Thompson sampling over a few strengths, by context.

Each (context, arm) has a Beta posterior of the slate's reward (river.proba.Beta; Thompson 1933, Chapelle & Li
2011). Evidence is forgotten at a set rate and capped, so that the bandit goes on exploring when tastes drift
(discounted Thompson sampling, Raj & Kalyani 2017).

The arm is drawn from the stored probabilities of being best, mixed with a uniform share, and not from one
draw of the posteriors: the same policy, but its propensities are exact and never below the floor, which
off-policy evaluation needs.
"""

from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river.proba import Beta

from models.errors import ConfigError, InputError, SnapshotError
from models.slate import Bonus
from models.slate_kernel import draw_arms

Posterior: Any = Beta  # river annotates its counts as int, and computes with any real number

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Arm:
    """One diversity strength: what the slate adds to the items' odds."""

    name: str
    bonus: Bonus = field(default_factory=Bonus)

    @property
    def explore(self) -> bool:
        """Whether young items are lifted."""
        return self.bonus.young > 0


DEFAULT_CONTEXTS = ("cold-browsing", "cold-buying", "warm-browsing", "warm-buying")
DEFAULT_ARMS = (
    Arm("none"),
    Arm("mild", Bonus(tail=0.003, variety=0.003, young=0.005)),
    Arm("medium", Bonus(tail=0.0045, young=0.006)),
    Arm("strong", Bonus(tail=0.006, variety=0.01, young=0.006)),
)
"""Chosen by hand on one stream (docs/benchmarks/quality/diversity.json shows what each costs and gives)."""


def scaled_arms(factor: float, *, arms: tuple[Arm, ...] = DEFAULT_ARMS) -> tuple[Arm, ...]:
    """The arms with every bonus times `factor` >= 0; at 0 all rank purely."""
    return tuple(Arm(arm.name, arm.bonus.scaled(factor)) for arm in arms)


@dataclass(frozen=True, slots=True)
class BanditConfig:
    """The arms, the contexts, and how the posteriors learn and forget."""

    arms: tuple[Arm, ...] = DEFAULT_ARMS
    contexts: tuple[str, ...] = DEFAULT_CONTEXTS
    prior_alpha: float = 1.0
    prior_beta: float = 1.0
    memory: float = 20_000.0  # slates of a context after which evidence has faded to 1/e; inf never forgets
    most_evidence: float = 10_000.0  # pseudo-counts one posterior may hold beyond its prior
    uniform_share: float = 0.05  # of the draws that ignore the posteriors: the floor is this / arms
    draws: int = 2_048  # Monte-Carlo draws behind the probabilities
    refresh_share: float = 0.05  # probabilities are redrawn when a context's evidence changed by this share
    seed: int = 20_240_229

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ConfigError(f"BanditConfig.arms are named {names}; two or more distinct names are needed")
        if not self.contexts or len(set(self.contexts)) != len(self.contexts):
            raise ConfigError(f"BanditConfig.contexts are {self.contexts}; distinct names are needed")
        for name in ("prior_alpha", "prior_beta", "memory", "most_evidence"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"BanditConfig.{name} is {getattr(self, name)}; it must be > 0")
        if not 0 < self.uniform_share <= 1:
            raise ConfigError(f"BanditConfig.uniform_share is {self.uniform_share}; it must be in (0, 1]")
        if not 0 <= self.refresh_share < 1:
            raise ConfigError(f"BanditConfig.refresh_share is {self.refresh_share}; it must be in [0, 1)")
        if self.draws < 1:
            raise ConfigError(f"BanditConfig.draws is {self.draws}; it must be at least 1")


def context_of(
    interactions: NDArray[np.int64], *, intent: NDArray[np.bool_], warm_from: int = 5
) -> NDArray[np.int32]:
    """(B,) int32 index into DEFAULT_CONTEXTS.

    interactions: (B,) how many interactions the user has ever had; `warm_from` of them make a user warm.
    intent: (B,) bool, the current session has a cart or a purchase.

    >>> context_of(np.array([0, 9]), intent=np.array([True, False]))
    array([1, 2], dtype=int32)
    """
    return (2 * (interactions >= warm_from) + intent).astype(np.int32)


class DiversityBandit:
    """Which arm to play in which context, learnt from rewards in [0, 1].

    Not thread-safe. `choose` changes nothing; a bandit made by `from_state` chooses and learns exactly as the
    one that gave the state. Its size is fixed: contexts x arms.

    >>> bandit = DiversityBandit(BanditConfig())
    >>> arms, propensities = bandit.choose(np.array([0, 2], np.int32), seeds=np.array([7, 8], np.uint64))
    >>> arms.shape, bool((propensities >= 0.05 / 5).all())
    ((2,), True)
    """

    def __init__(self, config: BanditConfig) -> None:
        self.config = config
        self._posteriors = [
            [Posterior(config.prior_alpha, config.prior_beta) for _ in config.arms] for _ in config.contexts
        ]
        shape = (len(config.contexts), len(config.arms))
        self._probabilities = np.full(shape, 1 / len(config.arms))  # (contexts, A) of being drawn
        self._bonuses = np.array([astuple(arm.bonus) for arm in config.arms], dtype=np.float32)  # (A, 3)
        self._changed = np.zeros(shape[0])  # (contexts,) evidence since the probabilities were drawn
        self._updates = np.zeros(shape[0], dtype=np.int64)
        self._exploration = 1.0
        for context in range(shape[0]):
            self._redraw(context)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(contexts, A) the probability of each arm, a copy; rows sum to 1."""
        return self._probabilities.copy()

    @property
    def updates(self) -> int:
        """Rewards learnt from."""
        return int(self._updates.sum())

    def means(self) -> NDArray[np.float64]:
        """(contexts, A) expected reward of each arm."""
        return np.array([[beta.alpha / (beta.alpha + beta.beta) for beta in row] for row in self._posteriors])

    def choose(
        self, contexts: NDArray[np.int32], *, seeds: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B,) int32 arms and the (B,) float32 probability with which each was drawn.

        contexts: (B,) int32; seeds: (B,) uint64, which decide. InputError for a context that does not exist.
        """
        if contexts.shape != seeds.shape or contexts.ndim != 1 or seeds.dtype != np.uint64:
            raise InputError(
                f"contexts are {contexts.shape} and seeds {seeds.dtype} {seeds.shape}; "
                "both must be (B,), and seeds uint64"
            )
        if len(contexts) and not 0 <= contexts.min() <= contexts.max() < len(self.config.contexts):
            raise InputError(
                f"contexts are in {contexts.min()}..{contexts.max()}; "
                f"they must be in 0..{len(self.config.contexts) - 1}"
            )
        arms = np.empty(len(contexts), np.int32)
        propensities = np.empty(len(contexts), np.float32)
        draw_arms(self._probabilities, contexts, seeds, arms, propensities)
        return arms, propensities

    def bonuses(self, arms: NDArray[np.int32]) -> NDArray[np.float32]:
        """(B, 3) float32 bonuses of (B,) arms, as `make_slates` takes them."""
        return self._bonuses[arms]

    @property
    def exploration(self) -> float:
        """How much more than normal is explored now; what draws slates multiplies its temperature by it."""
        return self._exploration

    def explore(self, exploration: float) -> None:
        """Draw arms as if there were so many times less evidence, from now on. InputError below 1."""
        if not 1 <= exploration < np.inf:
            raise InputError(f"exploration is {exploration}; it must be finite and >= 1")
        if exploration != self._exploration:
            self._exploration = exploration
            for context in range(len(self.config.contexts)):
                self._redraw(context)

    def update(self, context: int, *, arm: int, reward: float, weight: float = 1.0) -> None:
        """Learn that `arm` earned `reward` in [0, 1] in `context`; `weight` > 0 counts it as so many slates.

        InputError for a context or arm that does not exist, or a reward or weight out of range.
        """
        if not 0 <= context < len(self.config.contexts):
            raise InputError(f"context is {context}; it must be in 0..{len(self.config.contexts) - 1}")
        if not 0 <= arm < len(self.config.arms):
            raise InputError(f"arm is {arm}; it must be in 0..{len(self.config.arms) - 1}")
        if not 0 <= reward <= 1:
            raise InputError(f"reward is {reward}; it must be in [0, 1]")
        if not 0 < weight < np.inf:
            raise InputError(f"weight is {weight}; it must be finite and > 0")
        config = self.config
        kept = float(np.exp(-weight / config.memory))
        for beta in self._posteriors[context]:
            self._scale(beta, kept)
        played = self._posteriors[context][arm]
        played.alpha += weight * reward
        played.beta += weight * (1 - reward)
        evidence = self._evidence(played)
        if evidence > config.most_evidence:
            self._scale(played, config.most_evidence / evidence)
        self._updates[context] += 1
        self._changed[context] += weight
        held = sum(self._evidence(beta) for beta in self._posteriors[context])
        if self._changed[context] >= config.refresh_share * held:
            self._redraw(context)

    def state(self) -> dict[str, Any]:
        """Everything learnt, as plain JSON values."""
        return {
            "format": _FORMAT,
            "arms": [arm.name for arm in self.config.arms],
            "contexts": list(self.config.contexts),
            "alpha": [[float(beta.alpha) for beta in row] for row in self._posteriors],
            "beta": [[float(beta.beta) for beta in row] for row in self._posteriors],
            "probabilities": self._probabilities.tolist(),
            "changed": self._changed.tolist(),
            "updates": self._updates.tolist(),
            "exploration": self._exploration,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], *, config: BanditConfig) -> "DiversityBandit":
        """The bandit that gave `state`. SnapshotError if damaged, or if `config` has other arms."""
        bandit = cls(config)
        if not isinstance(state, dict):
            raise SnapshotError(f"the saved bandit is {str(state)[:40]!r}; it must be an object")
        expected = {key: bandit.state()[key] for key in ("format", "arms", "contexts")}
        received = {key: state.get(key) for key in expected}
        if received != expected:
            raise SnapshotError(f"the saved bandit has {received}; this one has {expected}")
        shape = bandit._probabilities.shape
        try:
            tables = {key: np.array(state[key], np.float64) for key in ("alpha", "beta", "probabilities")}
            changed = np.array(state["changed"], np.float64)
            updates = np.array(state["updates"], np.int64)
            exploration = float(state["exploration"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SnapshotError(f"the saved bandit is damaged: {error!r}") from error
        for key, table in tables.items():
            if table.shape != shape or not (np.isfinite(table) & (table > 0)).all():
                raise SnapshotError(f"the saved bandit's {key} must be {shape} positive numbers")
        if changed.shape != shape[:1] or updates.shape != shape[:1]:
            raise SnapshotError(f"the saved bandit's counts must be {shape[:1]}")
        if not 1 <= exploration < np.inf:
            raise SnapshotError(f"the saved bandit's exploration is {exploration}; it must be >= 1")
        bandit._exploration = exploration
        for context, row in enumerate(bandit._posteriors):
            for arm, beta in enumerate(row):
                beta.alpha = float(tables["alpha"][context, arm])
                beta.beta = float(tables["beta"][context, arm])
        bandit._probabilities, bandit._changed, bandit._updates = tables["probabilities"], changed, updates
        return bandit

    def _evidence(self, beta: Posterior) -> float:
        return float(beta.n_samples)  # river's name for the pseudo-counts beyond the prior

    def _scale(self, beta: Posterior, kept: float) -> None:
        """Fade the evidence to a share of itself; the prior stays."""
        config = self.config
        beta.alpha = config.prior_alpha + kept * (beta.alpha - config.prior_alpha)
        beta.beta = config.prior_beta + kept * (beta.beta - config.prior_beta)

    def _redraw(self, context: int) -> None:
        """Store how often each arm's posterior draw is the best, mixed with the uniform share."""
        config = self.config
        n_arms = len(config.arms)
        chance = np.random.default_rng([config.seed, context])  # the same each time: no drift of its own
        row = self._posteriors[context]
        prior, less = np.array([[config.prior_alpha], [config.prior_beta]]), self._exploration
        posteriors = np.array([[b.alpha for b in row], [b.beta for b in row]])  # (2, A)
        alphas, betas = posteriors if less == 1 else prior + (posteriors - prior) / less
        drawn = chance.beta(alphas, betas, size=(config.draws, n_arms))
        best = np.bincount(drawn.argmax(axis=1), minlength=n_arms) / config.draws
        self._probabilities[context] = (1 - config.uniform_share) * best + config.uniform_share / n_arms
        self._changed[context] = 0.0
