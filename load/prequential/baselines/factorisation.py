"""ALS and BPR of the implicit library, refitted on a schedule over everything learned so far."""

import importlib
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from load.errors import BadLoadConfig
from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS, Popularity
from load.prequential.baselines.ranking import filled
from load.prequential.contender import Query, Repeat, StreamInfo, Unit


@dataclass(frozen=True, slots=True)
class FactorisationConfig:
    """What both methods share."""

    factors: int = 128
    refits: int = 20  # over the whole stream, evenly: one every 5 %
    confidence: float = 5.0  # ALS: the weight of one time taken over an unknown
    regularisation: float = 5.0

    def __post_init__(self) -> None:
        for name in ("factors", "refits", "confidence", "regularisation"):
            if not getattr(self, name) > 0:
                raise ValueError(f"FactorisationConfig.{name} is {getattr(self, name)}; it must be above 0")


class Model(Protocol):
    """What a refit makes and a query reads."""

    def fit(self, counts: Any, /) -> None:
        """Refits from where it stood; `counts`: (n_sessions, n_items) float32 scipy CSR, times taken."""

    def item_vectors(self) -> NDArray[np.float32]:
        """(n_items, F): the items' factors."""

    def user_vector(
        self, row: int, *, items: NDArray[np.int64], counts: NDArray[np.float32], fitted: bool
    ) -> NDArray[np.float32]:
        """(F,): of a user with `items`: (n,) taken `counts`: (n,) times; `fitted`: was there at the last fit."""


class Als:
    """Weighted matrix factorisation (Hu, Koren & Volinsky, ICDM 2008), users folded in at every query.

    The first fit makes 15 sweeps, later ones start from the last factors and make 3. A user's vector is solved
    for, at every query, from all their items up to now.
    """

    def __init__(self, info: StreamInfo, *, config: FactorisationConfig, seed: int) -> None:
        self._model = need("implicit.als").AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularisation,
            alpha=config.confidence,
            iterations=15,
            num_threads=1,
            random_state=seed,
        )
        self._sparse = need("scipy.sparse")
        self._n_items = info.n_items

    def fit(self, counts: Any, /) -> None:
        """See `Model`."""
        _quietly(self._model, counts)
        self._model.iterations = 3

    def item_vectors(self) -> NDArray[np.float32]:
        """See `Model`."""
        return self._model.item_factors  # type: ignore[no-any-return]

    def user_vector(
        self,
        row: int,
        *,
        items: NDArray[np.int64],
        counts: NDArray[np.float32],
        fitted: bool,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """See `Model`; `row` and `fitted` do not matter."""
        counted = self._sparse.csr_matrix(
            (counts, items.astype(np.int32), np.array([0, len(items)], np.int32)), shape=(1, self._n_items)
        )
        return self._model.recalculate_user(np.array([row]), counted)[0]  # type: ignore[no-any-return]


class Bpr:
    """Bayesian personalised ranking (Rendle et al., UAI 2009).

    The first fit makes 60 passes, later ones start from the last factors and make 6. A user who came after
    the last fit has the mean vector of their items.
    """

    def __init__(self, *, config: FactorisationConfig, seed: int) -> None:
        self._model = need("implicit.bpr").BayesianPersonalizedRanking(
            factors=config.factors,
            learning_rate=0.05,
            regularization=0.01,
            iterations=60,
            num_threads=1,
            random_state=seed,
        )

    def fit(self, counts: Any, /) -> None:
        """See `Model`."""
        _quietly(self._model, counts)
        self._model.iterations = 6

    def item_vectors(self) -> NDArray[np.float32]:
        """See `Model`."""
        return self._model.item_factors  # type: ignore[no-any-return]

    def user_vector(
        self,
        row: int,
        *,
        items: NDArray[np.int64],
        counts: NDArray[np.float32],  # noqa: ARG002
        fitted: bool,
    ) -> NDArray[np.float32]:
        """See `Model`; `counts` do not matter. The last factor is the items' bias."""
        if fitted:
            return self._model.user_factors[row]  # type: ignore[no-any-return]
        vector: NDArray[np.float32] = self._model.item_factors[items].mean(axis=0)
        vector[-1] = 1.0
        return vector


class Factorised:
    """Contender: the items with the largest products with the user's vector, then recent popularity.

    A row of the matrix is a session, which under the basket protocol is the user: rows of whole users found less
    (warm recall .019 against .029 on the first 30,000 units of RetailRocket's buyers, 64 factors). Items not
    learned by the last fit have no vector and are left out until the next. Before the first fit it is popularity
    alone. Where units are single events, never the item just taken.
    """

    def __init__(self, info: StreamInfo, *, name: str, model: Model, config: FactorisationConfig) -> None:
        self.name = name
        self._model = model
        self._sparse = need("scipy.sparse")
        self._shape = (info.n_sessions, info.n_items)
        self._repeats = info.protocol == "basket"
        self._every = max(1, -(-info.n_units // config.refits))
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._taken: list[dict[int, int]] = [{} for _ in range(info.n_sessions)]
        self._last = np.full(info.n_sessions, -1, np.int64)
        self._learned = np.zeros(info.n_items, np.bool_)
        self._fitted_items: NDArray[np.int64] | None = None
        self._fitted_users = np.zeros(info.n_sessions, np.bool_)
        self._vectors = np.empty((0, 0), np.float32)
        self.refits = 0

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the nearest items, best first, filled with what is popular now."""
        taken = self._taken[query.session]
        popular = self._popular.top(2 * k)
        without = -1 if self._repeats else int(self._last[query.session])
        if self._fitted_items is None or not taken:
            return filled(popular, fill=popular, k=k, without=without)
        items = np.fromiter(taken.keys(), np.int64, len(taken))
        counts = np.fromiter(taken.values(), np.float32, len(taken))
        fitted = bool(self._fitted_users[query.session])
        vector = self._model.user_vector(query.session, items=items, counts=counts, fitted=fitted)
        scores = self._vectors @ vector  # (fitted items,)
        best = np.argpartition(-scores, min(k + 1, len(scores) - 1))[: k + 1]
        picked = self._fitted_items[best[np.argsort(-scores[best], kind="stable")]]
        return filled(picked, fill=popular, k=k, without=without)

    def learn(self, unit: Unit, /) -> None:
        """Counts the unit; refits when the schedule says so."""
        taken = self._taken[unit.session]
        for item in unit.items.tolist():
            taken[item] = taken.get(item, 0) + 1
        self._last[unit.session] = unit.items[-1]
        self._learned[unit.items] = True
        self._popular.add(unit.items, at_ms=unit.at_ms)
        if (unit.index + 1) % self._every == 0:
            self._refit()

    def see(self, repeat: Repeat, /) -> None:
        """Counts the item once more for its session: the model weighs what is taken more often more."""
        self._taken[repeat.session][int(repeat.items[0])] += 1

    def _refit(self) -> None:
        lengths = [len(taken) for taken in self._taken]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        columns = np.fromiter((i for taken in self._taken for i in taken), np.int32, ends[-1])
        counts = np.fromiter((n for taken in self._taken for n in taken.values()), np.float32, ends[-1])
        matrix = self._sparse.csr_matrix((counts, columns, ends), shape=self._shape)
        matrix.sort_indices()
        self._model.fit(matrix)
        self._fitted_items = np.flatnonzero(self._learned)
        self._fitted_users = np.array(lengths) > 0
        self._vectors = np.ascontiguousarray(self._model.item_vectors()[self._fitted_items])
        self.refits += 1


def need(module: str) -> ModuleType:
    """The optional module, or BadLoadConfig saying how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise BadLoadConfig(
            f"this baseline needs the package {package}, which is not installed: "
            f'pip install "headwater[bench]", or leave the baseline out of --models'
        ) from error


def _quietly(model: Any, counts: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # implicit warns about the threads of a BLAS it is not given to set
        model.fit(counts, show_progress=False)
