"""Tells of events without influence: a metric by kind, and a line in the log when a user's budget is spent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from events.ids import stable_hash
from events.types import AnyUserEvent
from index.sources.influence import Verdict
from streams.logs import get_logger
from streams.metrics import Metrics

log = get_logger("anomalies")

_KINDS = {
    Verdict.DUPLICATE: "duplicate",
    Verdict.OVER_BUDGET: "over-budget",
    Verdict.NEWLY_OVER: "over-budget",
}


def tell_anomalies(events: Sequence[AnyUserEvent], verdicts: NDArray[np.int8], *, metrics: Metrics) -> None:
    """Count and log what of n `events` has no influence, by their (n,) verdicts. Ids of users are not logged, only
    their stable_hash."""
    for at in np.flatnonzero(verdicts).tolist():
        verdict = Verdict(verdicts[at])
        metrics.anomalies.labels(kind=_KINDS[verdict]).inc()
        if verdict is Verdict.NEWLY_OVER:
            event = events[at]
            log.warning(
                "a user does more than anybody means: until the budget comes back, what the user does moves no "
                "source and no model",
                extra={"fields": {"user_hash": stable_hash(event.user_id), "at_ms": event.occurred_at}},
            )
