"""What a query asks about, against plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.query_items import Lookback, weigh_query
from tests.index.sources.random_logs import ROOMY, PlainTraces, Row, logs, plain_weights


@settings(max_examples=100, deadline=None)
@given(log=logs(), items=st.integers(1, 9), history_weight=st.sampled_from([0.0, 0.3, 1.0]))
def test_session_items_come_first_and_nothing_twice(
    log: list[Row], items: int, history_weight: float
) -> None:
    lookback = Lookback(items=items, session_decay=1.5, history_decay=4.0, history_weight=history_weight)
    plain = PlainTraces(ROOMY)
    for row in log:
        plain.add(row)
    query = plain.query([0, 1, 2, 3], log[-1].time_ms if log else 0)
    seen = np.zeros(ROOMY.items, np.bool_)
    for b in range(len(query)):
        asked, weights = np.zeros(items, np.int32), np.zeros(items)
        size, from_session = weigh_query(
            query.session[b],
            query.history[b],
            query.history_last_ms[b],
            lookback.session_weights(),
            lookback.history_weights(),
            history_weight,
            seen,
            asked,
            weights,
        )
        expected, touched = plain_weights(query, b, lookback)
        assert asked[:size].tolist() == list(expected)
        np.testing.assert_allclose(weights[:size], list(expected.values()), rtol=1e-12)
        assert (from_session > 0) == (touched > 0)
        assert not from_session or asked[0] == touched
        assert not seen.any()


@pytest.mark.parametrize(
    "wrong", [{"items": 0}, {"session_decay": 0.0}, {"history_decay": float("nan")}, {"history_weight": 1.1}]
)
def test_a_lookback_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Lookback(**wrong)  # type: ignore[arg-type]
