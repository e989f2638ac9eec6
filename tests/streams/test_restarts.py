import pytest

from streams.restarts import RestartHistory, RestartPolicy


def _crashes(
    policy: RestartPolicy, *, times_s: list[float], lived_s: float = 0.0
) -> list[tuple[float, bool]]:
    history = RestartHistory(policy)
    decisions = [history.crashed(started_s=now - lived_s, now_s=now) for now in times_s]
    return [(decision.delay_s, decision.crash_loop) for decision in decisions]


def test_delays_double_up_to_the_longest() -> None:
    policy = RestartPolicy(first_delay_s=1, max_delay_s=5, loop_crashes=100)
    assert _crashes(policy, times_s=[1, 2, 3, 4, 5]) == [(d, False) for d in (1, 2, 4, 5, 5)]


def test_healthy_run_starts_over_at_the_first_delay() -> None:
    policy = RestartPolicy(first_delay_s=1, max_delay_s=60, healthy_s=30)
    history = RestartHistory(policy)
    for now in (1, 2, 3):
        history.crashed(started_s=now - 0.5, now_s=now)
    assert history.crashed(started_s=10, now_s=50).delay_s == 1


def test_many_crashes_in_the_window_are_a_crash_loop() -> None:
    policy = RestartPolicy(loop_crashes=3, window_s=10, max_delay_s=30)
    assert _crashes(policy, times_s=[0, 4, 8])[-1] == (30, True)


def test_as_many_crashes_over_a_longer_time_are_not() -> None:
    policy = RestartPolicy(loop_crashes=3, window_s=10)
    assert _crashes(policy, times_s=[0, 6, 12])[-1][1] is False


def test_days_of_crashes_do_not_overflow() -> None:
    policy = RestartPolicy(loop_crashes=2, window_s=0.5)
    assert _crashes(policy, times_s=[float(n) for n in range(5000)])[-1] == (policy.max_delay_s, False)


@pytest.mark.parametrize(
    "wrong",
    [{"first_delay_s": 0}, {"first_delay_s": 9, "max_delay_s": 1}, {"factor": 0.5}, {"loop_crashes": 1}],
)
def test_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RestartPolicy(**wrong)  # type: ignore[arg-type]
