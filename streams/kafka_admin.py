"""A kafka-python admin client for the configured broker, its errors turned into ours."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError

from streams.errors import BrokerUnreachable
from streams.kafka_settings import KafkaSettings

CONNECT_TIMEOUT_S = 10.0


@contextmanager
def admin_client(kafka: KafkaSettings, *, timeout_s: float = CONNECT_TIMEOUT_S) -> Iterator[KafkaAdminClient]:
    """A connected admin client, closed at the end of the `with`.

    Raises BrokerUnreachable if nothing answers within `timeout_s`, and says what to check.
    """
    if kafka.embedded:
        raise BrokerUnreachable("no broker is configured: set KAFKA_BOOTSTRAP_SERVERS to host:port")
    try:
        client = KafkaAdminClient(**kafka.kafka_python(), bootstrap_timeout_ms=int(timeout_s * 1000))
    except (KafkaError, OSError) as error:
        raise BrokerUnreachable(
            f"no Kafka broker answers at {kafka.bootstrap_servers} ({kafka.security_protocol}): {said(error)}; "
            "check KAFKA_BOOTSTRAP_SERVERS, that the broker runs, and the KAFKA_SECURITY_PROTOCOL, "
            "KAFKA_SASL_ and KAFKA_SSL_ settings"
        ) from error
    try:
        yield client
    except (KafkaTimeoutError, ConnectionError) as error:
        raise BrokerUnreachable(
            f"the Kafka broker at {kafka.bootstrap_servers} stopped answering: {said(error)}"
        ) from error
    finally:
        client.close()


def said(error: Exception) -> str:
    """What an error of kafka-python says, without the name of its class, unless it says nothing else.

    >>> said(KafkaTimeoutError("Unable to bootstrap")), said(KafkaTimeoutError())
    ('Unable to bootstrap', 'KafkaTimeoutError')
    """
    return str(error).removeprefix(f"{type(error).__name__}: ")


def broker_answers(host: str, port: int) -> bool:
    """True once a plaintext broker there accepts connections and names itself in a metadata response."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
        with admin_client(KafkaSettings(bootstrap_servers=f"{host}:{port}"), timeout_s=2.0) as client:
            return bool(client.describe_cluster()["brokers"])
    except (OSError, BrokerUnreachable, KafkaError):
        return False
