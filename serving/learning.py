"""Learning from the stream, test then train: each event is predicted first, compared, and then learnt from.

Everything here is a function of the state and of the events in their order: chunks and batches are cut by the
log, never by the clock, so the same log leaves the same weights.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.columns import Kind
from events.flatten import KIND_OF, EventColumns, HashCache, to_columns
from events.ids import UserId, stable_hash
from events.types import AnyUserEvent
from index.sources.array_folder import load_arrays, save_arrays
from index.sources.influence import Verdict
from models.batch import RankBatch
from models.learner import Learner, StepReport
from models.ranker import Scores
from serving.asked import POSITIVE, Asked, units_asked
from serving.baseline_windows import BaselineWindows
from serving.baselines import hits_of
from serving.kept_states import KeptStates
from serving.memory_comparison import compare_memories
from serving.names import ItemNames
from serving.recommender import Recommender
from serving.state import StateCodec

_HELD_MAX = 1_024  # events without influence that wait for those before them


@dataclass(frozen=True, slots=True)
class LearningConfig:
    """How the stream is cut into units, chunks and batches."""

    batch_units: int = 32  # units of one training step, at least: a record's events are never parted
    chunk_units: int = 32  # units predicted at once; never two of one user
    history: int = 256  # distinct items of a user that the sources see
    users: int = 200_000  # users whose state is kept, the latest
    window: int = 2_000  # units of the sliding means
    k: int = 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"LearningConfig.{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class _Units:
    """Units predicted and waiting for their training step."""

    batch: RankBatch
    gains: NDArray[np.float32]
    labels: NDArray[np.float32]


class Learning:
    """Predicts, compares and learns; `take` events in log order, and `train` when `due`.

    A unit is an event with items clicked, put into the cart or bought. An event with nothing but the item
    that the shopper touched just before in the same session is none: whoever looks at an item needs no
    recommendation to find it. Units of users who were never seen before are learnt from, and left out of the
    sliding means: nobody has a recommendation to compare for them.
    """

    def __init__(
        self, config: LearningConfig, *, recommender: Recommender, learner: Learner, codec: StateCodec
    ) -> None:
        self.config = config
        self.learner = learner
        self.units = 0  # predicted so far, of users seen before
        self._recommender = recommender
        self._codec = codec
        self._hashes = HashCache()
        self._kept = KeptStates(codec, capacity=config.users)
        self._pending: OrderedDict[UserId, AnyUserEvent] = OrderedDict()
        self._held: list[AnyUserEvent] = []  # without influence, of users who are pending
        self._waiting: list[_Units] = []
        self._baselines = BaselineWindows(window=config.window, k=config.k)

    @property
    def states(self) -> Mapping[UserId, bytes]:
        """As KeptStates.by_user."""
        return self._kept.by_user

    @property
    def due(self) -> bool:
        """Whether a training step is due; ask after each record, not within one."""
        if self._waiting_units() + len(self._pending) >= self.config.batch_units:
            self._predict_pending()
        return self._waiting_units() >= self.config.batch_units

    def take(self, events: Sequence[AnyUserEvent]) -> NDArray[np.int8]:
        """Predict and learn from the events of one record, in log order; (n,) their `Verdict`s.

        An event without influence changes its user's state, and nothing else: what others get is the same with it
        and without it.
        """
        verdicts = self._judge(events)
        for event, verdict in zip(events, verdicts.tolist(), strict=True):
            if verdict != Verdict.COUNTS:
                self._keep(event)
                continue
            self._tell_drift(event)
            if event.user_id in self._pending or len(self._pending) >= self.config.chunk_units:
                self._predict_pending()
            self._pending[event.user_id] = event
        return verdicts

    def _judge(self, events: Sequence[AnyUserEvent]) -> NDArray[np.int8]:
        positive = [KIND_OF[event.__class__] in POSITIVE for event in events]
        return self._recommender.sources.influence.judge(
            users=np.array([self._hashes[event.user_id] for event in events], np.int64),
            event_ids=np.array([stable_hash(event.event_id) for event in events], np.int64),
            times_ms=np.array([event.occurred_at for event in events], np.int64),
            items=np.array(
                [len(event.items) * counts for event, counts in zip(events, positive, strict=True)], np.int64
            ),
        )

    def _keep(self, event: AnyUserEvent) -> None:
        """Fold an event without influence into its user's state, after what waits of the same user.

        It waits with that: predicting earlier on its account would be influence.
        """
        if event.user_id not in self._pending:
            self._fold_into_states([event])
            return
        self._held.append(event)
        if len(self._held) >= _HELD_MAX:
            self._predict_pending()

    def _fold_into_states(self, events: Sequence[AnyUserEvent]) -> None:
        columns = to_columns(events, hashes=self._hashes)
        self._kept.fold(self._kept.of(columns), columns=columns)

    def _tell_drift(self, event: AnyUserEvent) -> None:
        """Slates shown, and what was taken from them: those without an answer are a sign of changed tastes."""
        drift = self.learner.drift
        if drift is None or event.rec_id is None:
            return
        kind = KIND_OF[event.__class__]
        if kind is Kind.IMPRESSION:
            drift.shown()
        elif kind in POSITIVE:
            drift.answered()

    def train(self) -> StepReport:
        """One training step on every unit that waits; call it when `due`."""
        waiting, self._waiting = self._waiting, []
        batch = RankBatch(
            candidates=np.concatenate([units.batch.candidates for units in waiting]),
            features=np.concatenate([units.batch.features for units in waiting]),
            history=np.concatenate([units.batch.history for units in waiting]),
            history_kinds=np.concatenate([units.batch.history_kinds for units in waiting]),
            history_ages_ms=np.concatenate([units.batch.history_ages_ms for units in waiting]),
        )
        report = self.learner.learn(
            batch,
            self._recommender.item_table(),
            gains=np.concatenate([units.gains for units in waiting]),
            labels=np.concatenate([units.labels for units in waiting]),
        )
        self._explore()
        return report

    def report(self) -> dict[str, dict[str, float]]:
        """Sliding means by ranker: recall@20, mrr@20 and units of `headwater`, its parts, and the baselines."""
        k = self.config.k
        own = self.learner.prequential.report()
        served = "paired_total" if own["deep.pays"] else "wide"
        parts = {
            "headwater": served,
            "wide": "wide",
            "paired_wide": "paired_wide",
            "paired_deep": "paired_total",
        }
        report = {
            name: {
                f"recall@{k}": own[f"{part}.recall@{k}"],
                f"mrr@{k}": own[f"{part}.mrr@{k}"],
                "units": own["wide.units" if part == "wide" else "paired.units"],
            }
            for name, part in parts.items()
        }
        return report | self._baselines.report()

    def save(self, folder: Path) -> None:
        """Write states and sources to `folder`; the learner is saved by models.snapshots, beside it.

        Call it between training steps: what waits for one is not saved. ValueError when something waits.
        """
        if self._pending or self._waiting:
            raise ValueError(f"{len(self._pending) + self._waiting_units()} units wait for a training step")
        arrays: dict[str, NDArray[np.generic]] = {
            **self._kept.snapshot(),
            **self._baselines.snapshot(),
            "units": np.array(self.units, np.int64),
        }
        save_arrays(folder / "states", arrays)
        self._recommender.sources.save(folder / "sources")

    def load(self, folder: Path) -> None:
        """Take what `save` wrote; SnapshotError where it is missing, damaged or of another configuration.

        The learner is to be restored before: how much of the histories counts depends on it.
        """
        arrays = load_arrays(folder / "states")
        self._kept.restore(arrays)
        self.units = int(arrays["units"])
        self._baselines.restore(arrays)
        self._recommender.sources.load(folder / "sources")
        self._explore()

    def _explore(self) -> None:
        """Rank as what serves will, once it has this model: with its response to drift."""
        self._recommender.bandit.explore(self.learner.exploration)
        self._recommender.remembered = self.learner.remembered

    def _waiting_units(self) -> int:
        return sum(len(units.gains) for units in self._waiting)

    def _predict_pending(self) -> None:
        """Predict the pending events (one a user), then fold them into states and sources."""
        if not self._pending:
            return
        events = list(self._pending.values())
        self._pending.clear()
        columns = to_columns(events, hashes=self._hashes)
        states = self._kept.of(columns)
        self._predict(states, columns, unaided=np.array([event.rec_id is None for event in events]))
        self._kept.fold(states, columns=columns)
        self._recommender.sources.learn(columns.interactions, names=ItemNames(events, hashes=self._hashes))
        self._refresh(len(events))
        if self._held:
            self._fold_into_states(self._held)
            self._held.clear()

    def _refresh(self, _events: int) -> None:
        """Search the text neighbours of a few items, after a chunk of so many events."""
        self._recommender.sources.refresh(limit=2)

    def _predict(
        self, states: NDArray[np.int64], columns: EventColumns, *, unaided: NDArray[np.bool_]
    ) -> None:
        recommender = self._recommender
        asked = units_asked(
            columns,
            view=self._codec.view(states, history=self.config.history),
            items=recommender.sources.items,
            unaided=unaided,
            session_gap_ms=self._codec.config.session_gap_ms,
        )
        if asked is None:
            return
        ranked = recommender.rank(asked.view, now_ms=asked.now_ms)
        gains = hits_of(ranked.candidates.items, targets=asked.targets)
        self._compare(asked, ranked.batch, gains=gains)
        self._baselines.compare(
            ranked.query,
            recommender.sources.popularity,
            targets=asked.targets,
            relevant=asked.relevant,
            warm=asked.warm,
        )
        self.units += int(asked.warm.sum())
        self._waiting.append(_Units(ranked.batch, gains, asked.labels(gains)))

    def _compare(self, asked: Asked, batch: RankBatch, *, gains: NDArray[np.float32]) -> None:
        """What serves, with what else could serve: units of new shoppers are left out."""
        scores = self._validate(batch, gains=gains, relevant=np.where(asked.warm, asked.relevant, 0))
        if self.learner.drift is not None:
            compare_memories(
                asked,
                served=scores.wide,
                gains=gains,
                recommender=self._recommender,
                drift=self.learner.drift,
            )

    def _validate(
        self, batch: RankBatch, *, gains: NDArray[np.float32], relevant: NDArray[np.int64]
    ) -> Scores:
        table = self._recommender.item_table()
        return self.learner.validate(batch, table, gains=gains, relevant=relevant)
