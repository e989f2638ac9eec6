"""The doctor's looks at Kafka and Redis; where none is configured, the embedded one is tried."""

import asyncio
from typing import Any

from kafka.errors import KafkaError
from kafka.protocol.api_key import ApiKey

from events.clock import Clock
from serving.errors import StoreError
from serving.ports import StoreInfo
from serving.redis_store import RedisStore
from streams import topics
from streams.checks import Check, Status, clock_check
from streams.doctor_advice import broker_advice, redis_advice
from streams.doctor_permissions import permissions
from streams.embedded import EmbeddedBroker, EmbeddedRedis
from streams.errors import BrokerUnreachable, ServerUnavailable
from streams.kafka_admin import admin_client
from streams.kafka_refusal import refusal_of
from streams.naming import RAW, OtherNames, naming_of
from streams.settings import Settings

CONNECT_TIMEOUT_S = 5.0
DESCRIBE_QUORUM = ApiKey(55)


def broker_checks(settings: Settings, *, clock: Clock) -> list[Check]:
    """Broker, its clock where it tells it (KRaft), and topics."""
    if settings.kafka.embedded:
        return [_embedded("broker", EmbeddedBroker)]
    try:
        with admin_client(settings.kafka, timeout_s=CONNECT_TIMEOUT_S) as client:
            checks = [_broker(client, settings=settings), *_broker_clock(client, clock=clock)]
            checks += permissions(kafka=settings.kafka)
        return [*checks, _topics(settings)]
    except (BrokerUnreachable, KafkaError, OSError) as error:
        refusal, said = refusal_of(settings.kafka)
        return [
            Check("broker", Status.FAIL, f"{error} ({said})" if said else str(error), broker_advice(refusal))
        ]


def redis_checks(settings: Settings, *, clock: Clock) -> list[Check]:
    """Redis, its eviction policy and its clock."""
    if settings.redis.embedded:
        return [_embedded("redis", EmbeddedRedis)]
    before_ms = clock.now_ms()
    try:
        info, naming = asyncio.run(_ping(settings))
    except StoreError as error:
        return [Check("redis", Status.FAIL, str(error), redis_advice(error))]
    said = f"{info.product} {info.version} answers and permits what batches need"
    checks = [Check("redis", Status.OK, said), _naming(naming, settings=settings), _eviction(info)]
    if info.now_ms is not None:
        skew = clock_check("redis clock", their_ms=info.now_ms, before_ms=before_ms, after_ms=clock.now_ms())
        checks.append(skew)
    return checks


def _embedded(name: str, server: type[EmbeddedBroker | EmbeddedRedis]) -> Check:
    try:
        with server():
            return Check(
                name,
                Status.WARN,
                f"none is configured ({server.instead}): `headwater up` and `demo` would start an embedded one, "
                "which keeps everything in memory",
                f"set {server.instead} to the real one; to try things out there is nothing to do",
            )
    except ServerUnavailable as error:
        return Check(name, Status.FAIL, str(error), f"set {server.instead} to a real one")


def _broker(client: Any, *, settings: Settings) -> Check:
    cluster = client.describe_cluster()
    brokers = len(cluster["brokers"])
    first = cluster["brokers"][0]["broker_id"]
    version = ".".join(str(part) for part in client.get_broker_version_data(first).broker_version)
    detail = f"{brokers} broker(s), cluster {cluster['cluster_id']}, protocol of Kafka {version} or later"
    if brokers < settings.kafka.replication_factor:
        return Check(
            "broker",
            Status.FAIL,
            f"{detail}; KAFKA_REPLICATION_FACTOR is {settings.kafka.replication_factor}",
            "start more brokers or lower KAFKA_REPLICATION_FACTOR",
        )
    if brokers > 2 and settings.kafka.replication_factor == 1:
        return Check(
            "broker", Status.WARN, f"{detail}; topics have one replica", "set KAFKA_REPLICATION_FACTOR=3"
        )
    return Check("broker", Status.OK, detail)


def _broker_clock(client: Any, *, clock: Clock) -> list[Check]:
    """The KRaft leader dates itself in its description of the quorum; other brokers don't tell the time."""
    if DESCRIBE_QUORUM not in client.api_versions():
        return []
    before_ms = clock.now_ms()
    try:
        [quorum] = client.describe_metadata_quorum()["topics"][0]["partitions"]
    except KafkaError:  # not permitted to this user
        return []
    after_ms = clock.now_ms()
    leader = [v for v in quorum["current_voters"] if v["replica_id"] == quorum["leader_id"]]
    their_ms = leader[0].get("last_caught_up_timestamp", -1) if leader else -1
    if their_ms <= 0:
        return []
    return [clock_check("broker clock", their_ms=their_ms, before_ms=before_ms, after_ms=after_ms)]


def _topics(settings: Settings) -> Check:
    report = topics.inspect(settings.kafka)
    if report.ok:
        return Check("topics", Status.OK, f"all {len(report.present)} are as the settings ask for")
    detail = "; ".join(f"{name} {difference}" for name, difference in report.differences.items())
    status = Status.FAIL if report.refused else Status.WARN
    if topics.NOT_PERMITTED in detail:
        return Check("topics", status, detail, "give the user the ACLs of docs/security.md (Kafka)")
    return Check("topics", status, detail, "run `headwater topics ensure`, then mend what it reports")


async def _ping(settings: Settings) -> tuple[StoreInfo, str | None]:
    store = RedisStore(
        settings.redis.options(), keys=settings.redis.key_space(partitions=settings.kafka.partitions)
    )
    try:
        info = await store.ping()
        await store.probe()
        return info, await store.naming()
    finally:
        await store.close()


def _naming(found: str | None, *, settings: Settings) -> Check:
    own = naming_of(settings.privacy.pseudonyms())
    told = "their own ids" if own == RAW else "pseudonyms"
    if found in (None, own):
        return Check("shoppers", Status.OK, f"named by {told}")
    wrong = OtherNames(place=f"Redis under {settings.redis.prefix}", found=found or "", own=own)
    what = "give this worker the key of the others (docs/security.md, Changing the key)"
    return Check("shoppers", Status.FAIL, str(wrong), what)


def _eviction(info: StoreInfo) -> Check:
    detail = f"maxmemory-policy is {info.eviction}"
    if info.eviction == "noeviction":
        return Check("redis eviction", Status.OK, detail)
    what = (
        "set maxmemory-policy to noeviction and give it enough memory: evicted users start again from nothing"
    )
    if info.eviction.startswith("volatile-"):  # watermarks have no expiry, so they stay
        return Check("redis eviction", Status.WARN, detail, what)
    return Check(
        "redis eviction", Status.FAIL, f"{detail}: it may drop watermarks, and events count twice", what
    )
