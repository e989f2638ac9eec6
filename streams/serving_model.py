"""The model that serves: weights, bandit and the verdict on the transformer, swapped in with each adapter."""

import json
from dataclasses import dataclass
from typing import Any

from index.items import ItemIndex
from models import adapters
from models.bandit import DiversityBandit
from models.errors import AdapterError, SnapshotError
from models.probe import Probe
from serving.recommender import Recommender
from serving.slate_record import Provenance
from streams.adapter_topic import PIN_KEY, SERVING_HEADER
from streams.log_reader import LogRecord


class ServingModel:
    """A recommender and where its parts come from. Before the first adapter, candidates
    rank by agreement of the sources."""

    def __init__(self, recommender: Recommender, *, index: ItemIndex, probe: Probe | None = None) -> None:
        self.recommender = recommender
        self.version = 0
        self.deep_pays = False  # until the learner has measured that the transformer ranks better
        self.pinned = False  # an operator's choice serves, whatever the learner publishes
        self._newest: LogRecord | None = None  # adapter; it serves once nothing is pinned
        self._index = index
        self._probe = probe

    def apply(self, record: LogRecord) -> int:
        """Take a record of the topic `adapters`: an adapter or the pointer; the version that now serves.

        An adapter is swapped in whole or not at all: AdapterError when it is damaged, does not fit, or cannot
        score the probe, and the last good one serves on.
        """
        if record.key != PIN_KEY:
            self._newest = record
            if not self.pinned:
                self._swap(record)
        elif record.value is not None:
            self._swap(record)
            self._relax()
            self.pinned = True
        else:
            self.pinned = False
            if self._newest is not None:
                self._swap(self._newest)
        return self.version

    def _swap(self, record: LogRecord) -> None:
        serving = _serving(record)
        try:
            bandit = DiversityBandit.from_state(serving.bandit, config=self.recommender.bandit.config)
        except SnapshotError as error:
            raise AdapterError(f"adapter {serving.version}: {error}") from error
        ranker = self.recommender.ranker
        before = ranker.snapshot()
        adapters.apply(ranker, record.value or b"")
        if self._probe is not None:
            try:
                self._probe.check(ranker)
            except AdapterError:
                ranker.restore(before)
                raise
        self.recommender.bandit = bandit
        self.recommender.remembered = serving.remembered
        self.recommender.trained = True
        self.version, self.deep_pays = serving.version, serving.deep_pays

    def _relax(self) -> None:
        """A response to drift passes; an adapter that is pinned would keep the one of its moment for good."""
        self.recommender.remembered = None
        self.recommender.bandit.explore(1.0)

    def provenance(self, *, made_at_ms: int) -> Provenance:
        """What the records of a batch made now have in common."""
        arms = self.recommender.bandit.config.arms
        return Provenance(
            made_at_ms=made_at_ms,
            model_version=self.version,
            index_version=self._index.version,
            source_names=self.source_names,
            arm_names=[arm.name for arm in arms],
            exploring_arms=frozenset(at for at, arm in enumerate(arms) if arm.explore),
        )

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.recommender.sources.names


@dataclass(frozen=True, slots=True)
class _Serving:
    """What an adapter's header holds for those who serve."""

    version: int
    deep_pays: bool  # the transformer
    bandit: dict[str, Any]  # its state
    remembered: int | None  # how many of a shopper's latest items count; None for all


def _serving(record: LogRecord) -> _Serving:
    try:
        told = json.loads(dict(record.headers)[SERVING_HEADER] or b"")
        remembered = told.get("remembered")
        serving = _Serving(
            version=int(told["version"]),
            deep_pays=bool(told["deep_pays"]),
            bandit=told["bandit"],
            remembered=None if remembered is None else int(remembered),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise AdapterError(f"header {SERVING_HEADER} is missing or damaged: {error}") from error
    if serving.remembered is not None and serving.remembered < 1:
        raise AdapterError(
            f"header {SERVING_HEADER}: remembered is {serving.remembered}; it must be at least 1"
        )
    return serving
