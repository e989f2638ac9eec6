"""The doctor tells a wrong password, a missing permission and an untrusted certificate apart, and what to do."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis  # the test's own administrator; the product talks through serving

from events.clock import SystemClock
from streams import doctor
from streams.adapter_operations import adapters_on, release, rollback
from streams.checks import Check, Status
from streams.doctor_servers import broker_checks, redis_checks
from streams.errors import PublishError
from streams.kafka_settings import KafkaSettings
from streams.publisher import Publisher
from streams.settings import Settings
from streams.topics import ensure
from tests.certificates import Authority
from tests.secure_kafka import PASSWORDS as KAFKA_PASSWORDS
from tests.secure_kafka import SecureKafka, acl, documented_acls, secure_kafka
from tests.secure_redis import PASSWORDS, SecureRedis, tls_in_front
from tests.streams.learner_agents import interleaved, learner_life, shop_log


@pytest.fixture(scope="module")
def valkey() -> Iterator[SecureRedis]:
    with SecureRedis() as server:
        yield server


def _redis(server: SecureRedis, **given: object) -> dict[str, Check]:
    made = {
        "url": server.url,
        "username": "headwater-doctor",
        "password": PASSWORDS["headwater-doctor"],
        "retries": 0,
    }
    settings = Settings().updated(redis=made | given)
    found = {check.name: check for check in redis_checks(settings, clock=SystemClock())}
    assert not any(secret in repr(found) for secret in PASSWORDS.values())
    return found


def test_redis_with_the_documented_permissions_is_fine(valkey: SecureRedis) -> None:
    found = _redis(valkey)
    assert {check.status for check in found.values()} == {Status.OK}
    assert "permits" in found["redis"].detail
    assert found["shoppers"].detail == "named by their own ids"


def test_a_wrong_redis_password(valkey: SecureRedis) -> None:
    check = _redis(valkey, password="wrong")["redis"]
    assert check.status is Status.FAIL
    assert "REDIS_PASSWORD" in check.what_to_do
    assert "REDIS_SSL" not in check.what_to_do


@pytest.mark.parametrize(
    "given", [{"username": "storefront", "password": PASSWORDS["storefront"]}, {"prefix": "other"}]
)
def test_redis_permissions_that_are_missing(valkey: SecureRedis, given: dict[str, str]) -> None:
    check = _redis(valkey, **given)["redis"]
    assert check.status is Status.FAIL
    assert "docs/security.md" in check.what_to_do
    assert "REDIS_PREFIX" in check.what_to_do


def test_a_redis_certificate_that_is_not_trusted(valkey: SecureRedis, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, name="other")
    with tls_in_front(valkey.port, authority=authority) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        assert _redis(valkey, url=url, ssl_ca_certs=str(authority.certificate))["redis"].status is Status.OK
        check = _redis(valkey, url=url, ssl_ca_certs=str(other.certificate))["redis"]
    assert check.status is Status.FAIL
    assert "REDIS_SSL_CA_CERTS" in check.what_to_do
    assert "PASSWORD" not in check.what_to_do


def test_another_key_than_the_others_have(valkey: SecureRedis) -> None:
    settings = Settings().updated(
        redis={
            "url": valkey.url,
            "username": "administrator",
            "password": PASSWORDS["administrator"],
            "prefix": "named",
        }
    )
    with Redis.from_url(valkey.url, username="administrator", password=PASSWORDS["administrator"]) as admin:
        admin.set("named:naming", "0123456789abcdef0123456789abcdef")
    found = {check.name: check for check in redis_checks(settings, clock=SystemClock())}
    assert found["shoppers"].status is Status.FAIL
    assert "Changing the key" in found["shoppers"].what_to_do


if os.environ.get("KAFKA_HOME"):

    @pytest.fixture(scope="module")
    def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
        with secure_kafka(tmp_path_factory.mktemp("kafka")) as running:
            ensure(running.admin)
            running.allow(documented_acls())
            running.allow(
                acl(role, on="TOPIC", name=topic, operation=operation)
                for role in ("recommender",)
                for topic in ("items", "recommendations", "dead-letters")
                for operation in ("DESCRIBE", "DESCRIBE_CONFIGS")
            )
            yield running

    def _kafka(kafka: KafkaSettings) -> dict[str, Check]:
        settings = Settings(kafka=kafka)
        found = {check.name: check for check in broker_checks(settings, clock=SystemClock())}
        assert not any(secret in repr(found) for secret in KAFKA_PASSWORDS.values())
        return found

    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    @pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
    def test_every_way_in(secure: SecureKafka, protocol: str, mechanism: str) -> None:
        found = _kafka(secure.settings(user="recommender", protocol=protocol, mechanism=mechanism))
        assert found["broker"].status is Status.OK
        assert found["permissions"].status is Status.WARN
        assert found["permissions"].detail.startswith(
            "may run as recommender; not as learner: no READ on recommendations, no WRITE on adapters, "
            "no READ on its group; not as encoder: no READ on items, no WRITE on item-vectors"
        )

    def test_client_certificates(secure: SecureKafka) -> None:
        mine = secure.authority.sign("recommender")
        certificate = {"ssl_certfile": str(mine.certificate), "ssl_keyfile": str(mine.key)}
        found = _kafka(secure.settings(user="", protocol="SSL", **certificate))
        assert found["broker"].status is Status.OK
        assert found["permissions"].detail.startswith("may run as recommender")
        check = _kafka(secure.settings(user="", protocol="SSL"))["broker"]
        assert check.status is Status.FAIL
        assert "KAFKA_SSL_CERTFILE" in check.what_to_do

    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
    def test_a_wrong_kafka_password(secure: SecureKafka, mechanism: str) -> None:
        wrong = secure.settings(user="recommender", mechanism=mechanism, sasl_password="wrong-password")
        check = _kafka(wrong)["broker"]
        assert check.status is Status.FAIL
        assert "KAFKA_SASL_PASSWORD" in check.what_to_do
        assert "uthentication" in check.detail
        assert "wrong-password" not in repr(check)

    def test_a_kafka_certificate_that_is_not_trusted(secure: SecureKafka, tmp_path: Path) -> None:
        other = Authority(tmp_path, name="other")
        untrusted = secure.settings(
            user="recommender", protocol="SASL_SSL", ssl_cafile=str(other.certificate)
        )
        check = _kafka(untrusted)["broker"]
        assert check.status is Status.FAIL
        assert "KAFKA_SSL_CAFILE" in check.what_to_do
        assert "PASSWORD" not in check.what_to_do

    def test_tls_where_there_is_none(secure: SecureKafka) -> None:
        there = secure.admin.bootstrap_servers
        check = _kafka(secure.settings(user="recommender", protocol="SASL_SSL", bootstrap_servers=there))[
            "broker"
        ]
        assert check.status is Status.FAIL
        assert "KAFKA_SECURITY_PROTOCOL" in check.what_to_do

    def test_an_operator_may_look_at_adapters_and_choose_and_a_recommender_may_only_look(
        secure: SecureKafka, tmp_path: Path
    ) -> None:
        life = learner_life(tmp_path)
        life.feed(interleaved(shop_log(), seed=1))
        with Publisher(secure.admin.confluent()) as publisher:
            asyncio.run(publisher.send(life.published[:2]))
        operator, recommender = secure.settings(user="operator"), secure.settings(user="recommender")
        older = adapters_on(recommender).published[0]
        with pytest.raises(PublishError, match="adapters"):
            rollback(recommender, name=older.name, reason="", clock=SystemClock())
        rollback(operator, name=older.name, reason="", clock=SystemClock())
        assert adapters_on(operator).serving == adapters_on(operator).pinned
        release(operator)
        assert adapters_on(operator).pinned is None

    def test_a_user_without_permissions(secure: SecureKafka) -> None:
        found = _kafka(secure.settings(user="stranger"))
        assert found["broker"].status is Status.OK
        for name in ("permissions", "topics"):
            assert found[name].status is Status.FAIL
            assert "docs/security.md" in found[name].what_to_do
        assert "READ on clicks" in found["permissions"].detail


def test_unreadable_files_are_told_first(tmp_path: Path) -> None:
    settings = Settings().updated(
        redis={"url": "rediss://127.0.0.1:1/0", "ssl_ca_certs": str(tmp_path / "no.pem"), "retries": 0},
        kafka={"bootstrap_servers": "127.0.0.1:1"},
        learner={"snapshot_dir": str(tmp_path)},
    )
    checks = doctor.run(settings, clock=SystemClock(), load_models=lambda: "")
    assert [check.name for check in checks if check.status is Status.FAIL][:1] == ["settings"]
