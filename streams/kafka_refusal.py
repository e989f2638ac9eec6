"""Why a Kafka broker does not let us in: kafka-python only says that it could not bootstrap, librdkafka knows."""

import time
from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka_settings import KafkaSettings

_LOOK_S = 4.0
_POLL_S = 0.1
_TLS_WORDS = ("handshake", "tls alert", "security.protocol", "listener?")


class Refusal(StrEnum):
    """What keeps us out."""

    CREDENTIALS = "credentials"  # user, password or mechanism
    CERTIFICATE = "certificate"  # not trusted, or for another host
    TLS = "tls"  # one side speaks TLS and the other does not, or ours shows no certificate
    AWAY = "away"  # nobody there, or nobody who says why


def refusal_of(kafka: KafkaSettings) -> tuple[Refusal, str]:
    """Why the broker refuses, and what it or the client library said. Takes up to four seconds."""
    said: list[Any] = []
    try:
        config: dict[str, Any] = {**kafka.confluent(), "error_cb": said.append}
        client = AdminClient(config)
    except KafkaException as error:  # a file of the ssl_ settings is no certificate or key, or not readable
        return Refusal.CERTIFICATE, error.args[0].str()
    deadline = time.monotonic() + _LOOK_S
    while time.monotonic() < deadline:
        client.poll(_POLL_S)
        for told in said:
            kind = _kind(told)
            if kind is not Refusal.AWAY:
                return kind, told.str()
    return Refusal.AWAY, said[0].str() if said else ""


def _kind(error: Any) -> Refusal:
    text = error.str().lower()
    if error.code() == KafkaError._AUTHENTICATION:
        return Refusal.CREDENTIALS
    if error.code() == KafkaError._SSL:
        return Refusal.CERTIFICATE if "verif" in text or "hostname" in text else Refusal.TLS
    if any(word in text for word in _TLS_WORDS):
        return Refusal.TLS
    return Refusal.AWAY
