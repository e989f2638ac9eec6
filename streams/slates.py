"""Makes the slates of a batch of users: plan by the time that is left, recommend, turn into records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.clock import Clock
from events.ids import UserId
from events.recommendation import encode_recommendation
from serving.overload import Overload
from serving.slate_record import Asker, records_of
from serving.state import StateCodec
from serving.state_layout import OFFSET, PARTITION, TOPIC, USER
from streams.metrics import Metrics
from streams.publisher import Record
from streams.serving_model import ServingModel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # spreads neighbouring offsets over all seeds


@dataclass(frozen=True, slots=True)
class SlatesConfig:
    """Where slates go, and what of the model they may use."""

    topic: str  # the recommendations topic's full name
    deep: bool = True  # the transformer may serve, if it pays
    history: int = 128  # distinct items of a user that the sources see


@dataclass(frozen=True, slots=True)
class Turn:
    """A user whose slate is due: the state to make it from, and since when the user waits."""

    user_id: UserId
    partition: int
    state: NDArray[np.int64]  # (W,)
    arrived_ms: int  # when the newest event that it answers reached the broker
    watermarks: Mapping[str, int]  # topic -> offset, of the partition
    lacks: str = ""  # what the state is without: "no-state" while the store is away, "rebuilding"


class SlateMaker:
    """Makes records of slates; holds `lock`, the model's, while it reads what other threads feed."""

    def __init__(
        self,
        config: SlatesConfig,
        *,
        model: ServingModel,
        lock: AbstractContextManager[Any],
        codec: StateCodec,
        overload: Overload,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._config = config
        self._model = model
        self._lock = lock
        self._codec = codec
        self._overload = overload
        self._metrics = metrics
        self._clock = clock

    def make(self, turns: Sequence[Turn]) -> list[Record]:
        """The records to publish, one for each turn and in their order."""
        if not turns:
            return []
        now_ms = self._clock.now_ms()
        oldest_ms = float(now_ms - min(turn.arrived_ms for turn in turns))
        states = np.stack([turn.state for turn in turns])
        deep = self._config.deep and self._model.deep_pays
        plan = self._overload.plan(users=len(turns), oldest_ms=oldest_ms, deep=deep)
        started = perf_counter()
        view = self._codec.view(states, history=self._config.history)
        with self._lock:
            slates = self._model.recommender.recommend(
                view, now_ms=view.last_ms, seeds=_seeds(states), plan=plan, deep=deep
            )
            provenance = self._model.provenance(made_at_ms=self._clock.now_ms())
            seen = {turn.partition: _seen_offsets(turn) for turn in turns}
            made = records_of(
                slates,
                [
                    Asker(
                        user_id=turn.user_id,
                        place={**place, turn.lacks: 0} if turn.lacks else place,  # not the later slate's id
                        seen_offsets=seen[turn.partition],
                        fresh_ms=max(0.0, provenance.made_at_ms - turn.arrived_ms),
                        degraded=turn.lacks or plan.degraded(row),
                    )
                    for row, (turn, place) in enumerate(zip(turns, _places(states), strict=True))
                ],
                catalogue=self._model.recommender.sources.catalogue,
                provenance=provenance,
            )
        self._overload.observe(
            users=len(turns),
            wide_ms=(perf_counter() - started) * 1e3 - slates.deep_ms,
            deep_users=plan.deep_users if deep else 0,
            deep_ms=slates.deep_ms,
        )
        for record in made:
            self._metrics.freshness_ms.observe(record.fresh_ms)
        for arm, pulls in Counter(record.policy.arm for record in made).items():
            self._metrics.arm_pulls.labels(arm=arm).inc(pulls)
        for kind, count in Counter(record.degraded for record in made if record.degraded).items():
            self._metrics.degradations.labels(kind=kind).inc(count)
        self._metrics.recommendations.inc(len(made))
        return [
            Record(
                self._config.topic,
                turn.user_id.encode(),
                encode_recommendation(record),
                turn.partition,
            )
            for turn, record in zip(turns, made, strict=True)
        ]


def _places(states: NDArray[np.int64]) -> list[dict[str, int]]:
    """Where each user's last applied event lies: what a recommendation's id is made from."""
    return [
        {f"{topic}-{partition}": offset}
        for topic, partition, offset in states[:, [TOPIC, PARTITION, OFFSET]].tolist()
    ]


def _seen_offsets(turn: Turn) -> dict[str, int]:
    """The same for all turns of a partition."""
    return {f"{topic}-{turn.partition}": offset for topic, offset in turn.watermarks.items()}


def _seeds(states: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(B,) chance of each slate: a function of the user's last applied event, so that a redelivery repeats it."""
    places = states[:, OFFSET].astype(np.uint64) * np.uint64(8) + states[:, TOPIC].astype(np.uint64)
    return np.ascontiguousarray(states[:, USER]).view(np.uint64) ^ (places * _GOLDEN)
