"""The model that serves: weights, bandit and the verdict on the transformer, swapped in with each adapter."""

import json

from index.items import ItemIndex
from models import adapters
from models.bandit import DiversityBandit
from models.errors import AdapterError
from serving.recommender import Recommender
from serving.slate_record import Provenance
from streams.learning import SERVING_HEADER
from streams.log_reader import LogRecord


class ServingModel:
    """A recommender and where its parts come from. Before the first adapter, candidates
    rank by agreement of the sources."""

    def __init__(self, recommender: Recommender, *, index: ItemIndex) -> None:
        self.recommender = recommender
        self.version = 0
        self.deep_pays = False  # until the learner has measured that the transformer ranks better
        self._index = index

    def apply(self, record: LogRecord) -> int:
        """Swap an adapter in, whole or not at all; its version. AdapterError when it is damaged or does not fit."""
        headers = dict(record.headers)
        try:
            serving = json.loads(headers[SERVING_HEADER] or b"")
            version, pays, state = int(serving["version"]), bool(serving["deep_pays"]), serving["bandit"]
        except (KeyError, ValueError, TypeError) as error:
            raise AdapterError(f"header {SERVING_HEADER} is missing or damaged: {error}") from error
        bandit = DiversityBandit.from_state(state, config=self.recommender.bandit.config)
        adapters.apply(self.recommender.ranker, record.value or b"")
        self.recommender.bandit = bandit
        self.recommender.trained = True
        self.version, self.deep_pays = version, pays
        return version

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
