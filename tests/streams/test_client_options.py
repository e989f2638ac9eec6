"""What each client library is told of security."""

from typing import Any

from pydantic import SecretStr

from streams.settings import KafkaSettings


def test_client_options_carry_security_in_each_librarys_words() -> None:
    kafka = KafkaSettings(
        bootstrap_servers="a:9092,b:9092",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="app",
        sasl_password=SecretStr("hunter2"),
    )
    plain: dict[str, Any] = kafka.kafka_python()
    assert plain["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert plain["sasl_plain_password"] == "hunter2"
    assert kafka.confluent()["sasl.password"] == "hunter2"
    assert kafka.confluent()["security.protocol"] == "SASL_SSL"
    assert "ssl.ca.location" not in kafka.confluent()
    assert kafka.aiokafka()["ssl_context"].check_hostname
    credentials: Any = kafka.faust_credentials()
    assert (credentials.mechanism.value, credentials.password) == ("SCRAM-SHA-512", "hunter2")


def test_plaintext_client_options_carry_no_security() -> None:
    kafka = KafkaSettings(bootstrap_servers="a:9092")
    assert not any("sasl" in name or "ssl" in name for name in [*kafka.kafka_python(), *kafka.confluent()])
    assert kafka.faust_credentials() is None
