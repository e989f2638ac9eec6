"""What the diversity bandit learns: slates published, what shoppers did with them, the reward of each arm."""

from collections.abc import Mapping
from typing import Any

from events.columns import Kind
from events.errors import BadEvent
from events.flatten import KIND_OF
from events.ids import stable_hash
from events.recommendation import decode_recommendation
from events.types import AnyUserEvent
from models.bandit import DiversityBandit
from models.slate_outcomes import SlateOutcomes
from models.slate_records import Recommended
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics

log = get_logger("learner")


class SlateLessons:
    """Owns the bandit and the slates that are open; a function of the records in their order."""

    def __init__(self, bandit: DiversityBandit, outcomes: SlateOutcomes, *, metrics: Metrics) -> None:
        self.bandit = bandit
        self._outcomes = outcomes
        self._metrics = metrics
        self._arm = {arm.name: at for at, arm in enumerate(bandit.config.arms)}

    def recommended(self, record: LogRecord) -> None:
        """Take a record of the recommendations topic; one that cannot be read is left out, and logged."""
        try:
            slate = decode_recommendation(record.value or b"")
        except BadEvent as error:
            log.warning("recommendation at %s-%d@%d left out: %s", *record[:3], error)
            return
        arm = self._arm.get(slate.policy.arm)
        if arm is None or slate.policy.context >= len(self.bandit.config.contexts):
            return  # made by a worker with other arms: it teaches nothing about ours
        self._outcomes.recommended(
            Recommended(
                rec_id=slate.rec_id,
                user=stable_hash(slate.user_id),
                at_ms=record.timestamp_ms,
                context=slate.policy.context,
                arm=arm,
                arm_propensity=slate.policy.arm_propensity,
                items=tuple(stable_hash(item.item_id) for item in slate.items),
                propensities=tuple(item.propensity for item in slate.items),
            )
        )

    def happened(self, event: AnyUserEvent, *, at_ms: int) -> None:
        """Join an event to the slate that it names, if it names one."""
        kind = KIND_OF[event.__class__]
        if kind is not Kind.PAD and event.rec_id is not None:
            items = tuple(stable_hash(item.item_id) for item in event.items)
            self._outcomes.happened(event.rec_id, items=items, kind=kind, at_ms=at_ms)

    def advance(self, now_ms: int) -> None:
        """Close the slates whose time is over, and teach the bandit what each earned."""
        for joined in self._outcomes.advance(now_ms):
            slate = joined.recommended
            self.bandit.update(slate.context, arm=slate.arm, reward=joined.reward)
            if joined.clicked.any():
                self._metrics.slate_clicks.labels(arm=self.bandit.config.arms[slate.arm].name).inc()

    def state(self) -> dict[str, Any]:
        """For a snapshot: `bandit` and `outcomes`, as plain JSON values."""
        return {"bandit": self.bandit.state(), "outcomes": self._outcomes.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self.bandit = DiversityBandit.from_state(state["bandit"], config=self.bandit.config)
        self._outcomes = SlateOutcomes.from_state(state["outcomes"], config=self._outcomes.config)
