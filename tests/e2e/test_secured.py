"""A whole system under passwords, TLS, least permissions and pseudonyms, with every logger at DEBUG.

Clicks are answered, and neither a secret nor a shopper's id is anywhere that it should not be.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis  # the test's own administrator; the product talks through serving

from events.ids import partition_of
from events.pseudonyms import Pseudonyms
from events.recommendation import decode_recommendation
from events.topics import USER_TOPICS, Topic
from streams.kafka_settings import KafkaSettings
from streams.settings import Settings
from streams.system import System
from streams.topics import ensure
from tests.certificates import Authority
from tests.secure_kafka import PASSWORDS as KAFKA_PASSWORDS
from tests.secure_kafka import acl, documented_acls, secure_kafka
from tests.secure_redis import PASSWORDS as REDIS_PASSWORDS
from tests.secure_redis import SecureRedis, tls_in_front
from tests.servers import EMBEDDED, running_broker
from tests.storefront import Storefront, folded, purchase, stored, view
from tests.streams.deadlines import wait_for
from tests.systems import quick_system, small_settings

pytestmark = pytest.mark.e2e
KEY = "privacy-key-of-this-test-0123456789"
SHOPPERS = [f"ann.shopper-{number}@mail.example" for number in range(12)]
BUYERS = [f"bob.buyer-{number}@mail.example" for number in range(12)]  # a user's events lie on one topic
ROLES = ("recommender", "learner", "encoder")


@dataclass
class Secured:
    """A running system: the settings of its roles, its storefront's, and where its logs are."""

    settings: Settings  # the recommender's
    storefront: Settings
    systems: list[System]
    logs: Path
    secrets: list[str]

    def metrics(self) -> str:
        return "".join(system.metrics(name) for system in self.systems for name in system.metrics_ports)


def kinds() -> list[str]:
    """The broker that can have passwords, where it is at hand."""
    return ["kafka"] if os.environ.get("KAFKA_HOME") else [EMBEDDED]


@contextlib.contextmanager
def _kafka_by_user(kind: str, *, folder: Path) -> Iterator[dict[str, KafkaSettings]]:
    """The settings of each role and of the storefront; on Apache Kafka each is a user with its own ACLs."""
    if kind == EMBEDDED:
        with running_broker(EMBEDDED, environ={}) as broker:
            yield dict.fromkeys((*ROLES, "storefront"), broker.kafka)
        return
    with secure_kafka(folder) as broker:
        ensure(broker.admin)
        broker.allow(documented_acls())
        describe = [
            acl(role, on="TOPIC", name=topic.value, operation=operation)
            for role in ROLES
            for topic in Topic
            for operation in ("DESCRIBE", "DESCRIBE_CONFIGS")  # a System compares all topics before its start
        ]
        broker.allow(describe)
        checks = [acl("storefront", on="TOPIC", name=topic, operation="READ") for topic in USER_TOPICS]
        broker.allow(checks)  # this test reads back what it sent
        yield {
            "recommender": broker.settings(user="recommender", protocol="SASL_SSL"),
            "learner": broker.settings(user="learner", protocol="SASL_SSL", mechanism="SCRAM-SHA-256"),
            "encoder": broker.settings(user="encoder", mechanism="PLAIN"),
            "storefront": broker.settings(user="storefront", protocol="SASL_SSL", mechanism="PLAIN"),
        }


@pytest.fixture(scope="module", params=kinds())
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    logs = folder / "logs"
    loud = {"log_level": "DEBUG", "library_log_level": "DEBUG"}
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(_kafka_by_user(request.param, folder=folder))
        redis = stack.enter_context(SecureRedis())
        authority_folder = folder / "redis-tls"
        authority_folder.mkdir()
        authority = Authority(authority_folder)
        port = stack.enter_context(tls_in_front(redis.port, authority=authority))

        def settings_of(role: str) -> Settings:
            return small_settings(
                kafka[role],
                redis_url=f"rediss://127.0.0.1:{port}/0",
                redis_prefix="hw",
                folder=folder,
                # The encoder sees no shopper; without pseudonyms its libraries log at DEBUG.
                privacy={"pseudonymise": role != "encoder", "secret_key": KEY},
                observability=loud,
            ).updated(
                redis={
                    "username": "headwater",
                    "password": REDIS_PASSWORDS["headwater"],
                    "ssl_ca_certs": str(authority.certificate),
                }
            )

        systems = []
        for role in ROLES:
            alone: dict[str, Any] = {"recommenders": 0, "learner": False, "encoder": False}
            alone |= {"recommenders": 1} if role == "recommender" else {role: True}
            system = quick_system(settings_of(role), log_dir=logs / role, **alone)
            systems.append(stack.enter_context(system))
        for system in systems:
            system.wait_ready()
        yield Secured(
            settings=settings_of("recommender"),
            storefront=settings_of("storefront"),
            systems=systems,
            logs=logs,
            secrets=[KEY, *KAFKA_PASSWORDS.values(), *REDIS_PASSWORDS.values()],
        )


def shop(secured: Secured) -> list[Any]:
    """Every shopper does something; returns once all are answered."""
    storefront = Storefront(secured.storefront)
    sent = storefront.send(
        [purchase(user, "kettle", "teapot", number=number) for number, user in enumerate(BUYERS)]
        + [view(user, "kettle", number=100 + n, session_id=f"{user}-s") for n, user in enumerate(SHOPPERS)]
    )
    names = Pseudonyms(KEY.encode())
    expected = {names.user(one.event.user_id): one for one in sent}

    def answered() -> bool:
        seen = {}
        for slate in storefront.slates():
            seen.setdefault(slate.user_id, []).append(slate)
        return all(
            any(
                slate.seen_offsets.get(f"{one.place.topic}-{one.place.partition}", -1) >= one.place.offset
                for slate in seen.get(name, [])
            )
            for name, one in expected.items()
        )

    wait_for(answered, what="a slate for every pseudonym", timeout_s=90)
    return sent


def everything_in_redis(secured: Secured) -> bytes:
    """All keys and all values, as the administrator sees them."""
    found: list[bytes] = []
    with Redis.from_url(
        secured.settings.redis.url,
        username="administrator",
        password=REDIS_PASSWORDS["administrator"],
        ssl_ca_certs=secured.settings.redis.ssl_ca_certs,
    ) as admin:
        for key in admin.scan_iter(count=1000):
            found.append(key)
            match admin.type(key):
                case b"string":
                    found.append(admin.get(key) or b"")
                case b"hash":
                    found += [part for pair in admin.hgetall(key).items() for part in pair]
                case b"zset":
                    found += admin.zrange(key, 0, -1)
                case other:
                    raise AssertionError(f"a key of type {other!r}")
    return b"\n".join(found)


def all_logs(secured: Secured) -> str:
    return "".join(path.read_text(errors="replace") for path in secured.logs.rglob("*") if path.is_file())


def test_one_click_is_answered_and_no_id_is_kept(secured: Secured) -> None:
    sent = shop(secured)
    names = Pseudonyms(KEY.encode())

    # The slate lies on the shopper's own partition, keyed by the pseudonym, and in Redis under it.
    records = Storefront(secured.storefront).log(Topic.RECOMMENDATIONS)
    partitions = secured.settings.kafka.partitions
    of_ann = [record for record in records if record.key == names.user(SHOPPERS[0]).encode()]
    assert of_ann
    assert {record.partition for record in of_ann} == {
        partition_of(SHOPPERS[0].encode(), partitions=partitions)
    }
    assert decode_recommendation(of_ann[-1].value or b"").user_id == names.user(SHOPPERS[0])

    kept = everything_in_redis(secured)
    assert names.user(SHOPPERS[0]).encode() in kept
    published = b"".join((record.key or b"") + (record.value or b"") for record in records)
    logs, metrics = all_logs(secured), secured.metrics()
    assert len(logs) > 20_000  # at DEBUG they are loud: there was something to leak
    assert "headwater_recommendations_total" in metrics
    for user in (*SHOPPERS, *BUYERS):
        assert user.encode() not in kept
        assert user.encode() not in published
        assert user not in logs
        assert user not in metrics
    assert len({one.event.user_id for one in sent}) == len(SHOPPERS) + len(BUYERS)


def test_every_event_counted_once_as_without_pseudonyms(secured: Secured) -> None:
    shop(secured)
    storefront = Storefront(secured.storefront)
    names = Pseudonyms(KEY.encode())
    expected = folded(storefront.log(*USER_TOPICS), settings=secured.settings, pseudonyms=names)
    assert len(expected) == len(SHOPPERS) + len(BUYERS)
    states, waiting, _ = stored(expected, settings=secured.settings)
    assert states == expected
    assert sum(waiting.values()) == 0


def test_no_secret_is_logged_or_told(secured: Secured, tmp_path: Path) -> None:
    shop(secured)
    said = all_logs(secured) + secured.metrics()
    right = secured.settings
    wrong = right.updated(
        redis={"password": "wrong-redis-password-1"},
        learner={"snapshot_dir": str(tmp_path)},
    )
    secrets = [*secured.secrets, "wrong-redis-password-1"]
    for settings, commands in ((right, (["doctor"], ["topics", "list"])), (wrong, (["doctor"],))):
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "cli.main", *command],
                env={**os.environ, **settings.environment()},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            said += done.stdout + done.stderr
        said += settings.describe() + repr(settings)
    assert "doctor" in said or "redis" in said
    assert [secret for secret in secrets if secret in said] == []


def test_a_worker_with_another_key_is_refused(secured: Secured, tmp_path: Path) -> None:
    """In a group of its own it would otherwise tear histories in two."""
    shop(secured)
    other = secured.settings.updated(
        privacy={"secret_key": "another-key-0123456789"},
        learner={"snapshot_dir": str(tmp_path)},
        redis={"username": "headwater-doctor", "password": REDIS_PASSWORDS["headwater-doctor"]},
    )
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor"],
        env={**os.environ, **other.environment()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "shoppers" in told
    assert "Changing the key" in told
