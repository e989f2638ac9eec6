import resource
from pathlib import Path

import pytest
from redis import Redis  # the test's own administrator; the product talks through serving

from events.clock import SystemClock
from events.errors import HeadwaterError
from streams import doctor, topics
from streams.checks import Check, Status, clock_check
from streams.settings import KafkaSettings, Settings
from tests.servers import KAFKA, Broker


def _run(settings: Settings) -> dict[str, Check]:
    checks = doctor.run(settings, clock=SystemClock(), load_models=lambda: "encoder of 384 dimensions")
    assert all(check.what_to_do for check in checks if check.status is not Status.OK)
    return {check.name: check for check in checks}


def _settings(kafka: KafkaSettings, *, redis_url: str, folder: Path) -> Settings:
    return Settings().updated(
        kafka=dict(kafka), redis={"url": redis_url}, learner={"snapshot_dir": str(folder / "not" / "yet")}
    )


def test_healthy_deployment_has_nothing_to_mend(
    kafka: KafkaSettings, broker: Broker, redis_url: str, tmp_path: Path
) -> None:
    topics.ensure(kafka)
    checks = _run(_settings(kafka, redis_url=redis_url, folder=tmp_path))
    wrong = [
        check
        for name, check in checks.items()
        if name not in ("open files", "snapshots") and check.what_to_do
    ]
    assert wrong == []
    assert checks["redis"].detail.startswith("valkey ")
    assert checks["models"].detail == "encoder of 384 dimensions"
    assert ("broker clock" in checks) == (broker.kind == KAFKA)


def test_missing_topics_are_a_failure(kafka: KafkaSettings, redis_url: str, tmp_path: Path) -> None:
    check = _run(_settings(kafka, redis_url=redis_url, folder=tmp_path))["topics"]
    assert check.status is Status.FAIL
    assert "headwater topics ensure" in check.what_to_do


def test_other_retention_is_a_warning(kafka: KafkaSettings, redis_url: str, tmp_path: Path) -> None:
    topics.ensure(kafka)
    changed = kafka.model_copy(update={"events_retention_days": 5})
    assert _run(_settings(changed, redis_url=redis_url, folder=tmp_path))["topics"].status is Status.WARN


def test_eviction_that_may_drop_watermarks_is_a_failure(
    kafka: KafkaSettings, redis_url: str, tmp_path: Path
) -> None:
    topics.ensure(kafka)
    settings = _settings(kafka, redis_url=redis_url, folder=tmp_path)
    with Redis.from_url(redis_url) as admin:
        found = {}
        for policy in ("allkeys-lru", "volatile-ttl", "noeviction"):
            admin.config_set("maxmemory-policy", policy)
            found[policy] = _run(settings)["redis eviction"].status
    assert found == {"allkeys-lru": Status.FAIL, "volatile-ttl": Status.WARN, "noeviction": Status.OK}


def test_no_server_configured_is_a_warning_that_names_the_variable(tmp_path: Path) -> None:
    checks = _run(Settings().updated(learner={"snapshot_dir": str(tmp_path)}))
    assert checks["broker"].status is checks["redis"].status is Status.WARN
    assert checks["broker"].detail.startswith("none is configured (KAFKA_BOOTSTRAP_SERVERS)")
    assert checks["redis"].detail.startswith("none is configured (REDIS_URL)")


def test_variables_that_look_misspelt_are_warnings(tmp_path: Path) -> None:
    lines = ["KAFKA_PARTITONS is no setting; did you mean KAFKA_PARTITIONS?", "REDIS_PREFX is no setting"]
    settings = Settings().updated(learner={"snapshot_dir": str(tmp_path)})
    checks = doctor.run(settings, clock=SystemClock(), load_models=lambda: "", misspelt=lines)
    told = [check for check in checks if check.name == "environment"]
    assert [(check.status, check.detail) for check in told] == [(Status.WARN, line) for line in lines]
    assert all(check.what_to_do for check in told)


def test_servers_that_do_not_answer_name_the_setting_to_correct(tmp_path: Path, free_port: int) -> None:
    nowhere = Settings().updated(
        kafka={"bootstrap_servers": f"127.0.0.1:{free_port}"},
        redis={"url": f"redis://127.0.0.1:{free_port}", "retries": 0, "socket_timeout_s": 0.5},
        learner={"snapshot_dir": str(tmp_path)},
    )
    checks = _run(nowhere)
    assert checks["broker"].status is checks["redis"].status is Status.FAIL
    assert "KAFKA_BOOTSTRAP_SERVERS" in checks["broker"].what_to_do
    assert "KafkaTimeoutError" not in checks["broker"].detail
    assert "REDIS_URL" in checks["redis"].what_to_do


def test_models_that_do_not_load_are_a_failure(tmp_path: Path) -> None:
    def broken() -> str:
        raise HeadwaterError("no encoder at /nowhere")

    settings = Settings().updated(learner={"snapshot_dir": str(tmp_path)})
    checks = {check.name: check for check in doctor.run(settings, clock=SystemClock(), load_models=broken)}
    assert (checks["models"].status, checks["models"].detail) == (Status.FAIL, "no encoder at /nowhere")


def test_unreadable_certificate_is_a_failure(tmp_path: Path) -> None:
    settings = Settings().updated(
        kafka={"ssl_cafile": str(tmp_path / "ca.pem")}, learner={"snapshot_dir": str(tmp_path)}
    )
    check = _run(settings)["settings"]
    assert check.status is Status.FAIL
    assert f"KAFKA_SSL_CAFILE={tmp_path / 'ca.pem'}" in check.detail


def test_low_limit_of_open_files_is_seen(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        check = _run(Settings().updated(learner={"snapshot_dir": str(tmp_path)}))["open files"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (check.status, check.detail) == (Status.WARN, "limit 1024")


@pytest.mark.parametrize(
    ("their_ms", "status"),
    [
        (1_000, Status.OK),
        (990, Status.OK),
        (1_511, Status.WARN),
        (-4_000, Status.WARN),
        (90_000, Status.FAIL),
    ],
)
def test_skew_counts_from_the_time_the_answer_took(their_ms: int, status: Status) -> None:
    assert clock_check("clock", their_ms=their_ms, before_ms=990, after_ms=1_010).status is status
