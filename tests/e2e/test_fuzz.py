"""Every kind of bad record through the real workers: none stops them, none is lost, none is applied."""

import pytest

from bench.fuzz import FuzzConfig, run_fuzz
from bench.machine import Machine
from events.errors import Reason
from load.fuzz_records import SHARES
from streams.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


def test_every_fuzzed_record_is_applied_or_set_aside_with_its_bytes() -> None:
    settings = Settings().updated(
        kafka={"partitions": 4, "session_timeout_s": 2.0, "heartbeat_s": 0.5},
        sources={"items": 4_096, "users": 4_096, "sessions": 4_096},
    )
    report = run_fuzz(
        FuzzConfig(records=3_000, seed=9), settings=settings, machine=Machine.describe()
    ).as_dict()
    details = report["details"]
    assert details["first_problems"] == []
    assert (report["problems"], report["crashes"], report["records"]) == (0, 0, 3_000)
    assert report["letters"] == report["bad"] > 1_000
    assert report["good_events"] > 500
    kinds = {row["kind"]: row for row in details["kinds"]}
    assert kinds.keys() == SHARES.keys()
    assert all(row["bad"] == 0 < row["good"] for kind, row in kinds.items() if kind.startswith("valid"))
    seen = {reason for row in kinds.values() for reason in row["reasons"]}
    assert seen >= set(Reason) - {
        Reason.NO_ITEMS,
        Reason.TOO_MANY_ITEMS,
        Reason.TOO_MANY_EVENTS,
        Reason.BAD_VALUE,
    }
