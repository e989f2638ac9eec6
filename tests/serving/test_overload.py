"""The transformer is given up first, then candidates; a choice not to use it is not a degradation."""

import pytest

from serving.overload import Overload, OverloadConfig


def test_quiet_batch_gets_everything() -> None:
    plan = Overload(OverloadConfig()).plan(users=3, oldest_ms=10, deep=True)
    assert (plan.deep_users, plan.candidates_share) == (3, 1.0)
    assert [plan.degraded(row) for row in range(3)] == ["", "", ""]


def test_big_batch_keeps_the_transformer_for_the_first_users() -> None:
    plan = Overload(OverloadConfig(budget_ms=20), wide_ms=0.5, deep_ms=2).plan(
        users=20, oldest_ms=10, deep=True
    )
    assert plan.deep_users == 5
    assert [plan.degraded(row) for row in (4, 5)] == ["", "wide"]


def test_old_clicks_go_without_then_get_fewer_candidates() -> None:
    overload = Overload(OverloadConfig(wide_only_ms=150, fewer_candidates_ms=600))
    late = overload.plan(users=2, oldest_ms=151, deep=True)
    assert (late.deep_users, late.candidates_share, late.degraded(0)) == (0, 1.0, "wide")
    later = overload.plan(users=2, oldest_ms=601, deep=True)
    assert (later.candidates_share, later.degraded(0)) == (0.5, "fewer-candidates")


def test_a_transformer_that_is_off_is_no_degradation() -> None:
    plan = Overload(OverloadConfig(fewer_candidates_ms=600)).plan(users=2, oldest_ms=300, deep=False)
    assert plan.degraded(1) == ""


def test_costs_are_learnt() -> None:
    overload = Overload(OverloadConfig(budget_ms=20), wide_ms=0.5, deep_ms=2)
    for _ in range(200):
        overload.observe(users=10, wide_ms=5, deep_users=5, deep_ms=50)
    assert overload.plan(users=10, oldest_ms=0, deep=True).deep_users == 1


def test_wrong_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="wide_only_ms is 700"):
        OverloadConfig(wide_only_ms=700, fewer_candidates_ms=600)
