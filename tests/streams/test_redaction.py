import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.redis_options import RedisOptions
from streams.errors import SettingsError
from streams.logs import setup
from streams.redaction import MASK, Redactor
from streams.settings import Settings, load
from streams.settings_groups import ObservabilitySettings

ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9093",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "app",
    "KAFKA_SASL_PASSWORD": "kafka-word",
    "KAFKA_SSL_KEY_PASSWORD": "pem-word",
    "REDIS_URL": "rediss://app:url%2Fword@cache:6379/0",
    "REDIS_PASSWORD": "redis-word",
    "HEADWATER_PRIVACY_PSEUDONYMISE": "true",
    "HEADWATER_PRIVACY_SECRET_KEY": "privacy-word-0123456789",
}
SECRETS = {"kafka-word", "pem-word", "redis-word", "privacy-word-0123456789", "url%2Fword", "url/word"}


def test_every_secret_of_the_settings_is_known() -> None:
    assert load(ENVIRONMENT).secrets() == SECRETS
    assert Settings().secrets() == set()


@pytest.mark.parametrize("json_lines", [False, True])
def test_no_line_holds_a_secret_whoever_logs_it(json_lines: bool) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        config = ObservabilitySettings(log_json=json_lines, library_log_level="DEBUG")
        setup(config, stream=stream, secrets=load(ENVIRONMENT).secrets())
        logging.getLogger("kafka.client").debug("configuration %s", ENVIRONMENT)
        logging.getLogger("headwater.x").info("given", extra={"fields": dict(ENVIRONMENT)})
        try:
            raise ValueError(
                f"no such user: {ENVIRONMENT['REDIS_URL']} {ENVIRONMENT['KAFKA_SASL_PASSWORD']!r}"
            )
        except ValueError:
            logging.getLogger("redis").exception("it failed")
    finally:
        root.handlers[:], root.level = handlers, level
        logging.captureWarnings(False)
    told = stream.getvalue()
    assert [secret for secret in SECRETS if secret in told] == []
    assert told.count(MASK) >= 3 * 4
    assert "no such user" in told
    if json_lines:
        assert len([json.loads(line) for line in told.splitlines()]) == 3


def test_libraries_are_hushed_where_shoppers_have_pseudonyms() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        config = ObservabilitySettings(log_level="DEBUG", library_log_level="DEBUG")
        setup(config, stream=stream, pseudonymous=True)
        logging.getLogger("aiokafka.conn").debug("bytes of a record")
        logging.getLogger("aiokafka.conn").info("connected")
        logging.getLogger("headwater.x").debug("ours")
    finally:
        root.handlers[:], root.level = handlers, level
        logging.captureWarnings(False)
    told = stream.getvalue()
    assert "bytes of a record" not in told
    assert "connected" in told
    assert "ours" in told


@given(st.text(min_size=4, max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_secret_is_hidden_as_it_is_and_as_it_is_quoted(secret: str, before: str, after: str) -> None:
    redact = Redactor([secret])
    for form in (secret, repr(secret), json.dumps(secret), repr(secret.encode())):
        assert (
            secret not in redact(before + form + after).replace(MASK, "") or secret in before + after + MASK
        )


def test_the_longer_of_two_secrets_leaves_no_rest() -> None:
    assert Redactor(["word", "word-and-more"])("a word-and-more") == "a ****"


@pytest.mark.parametrize(
    "url",
    [
        "redis://app:hunter2/x@cache:6379/0",
        "redis://app:12/hunter2@cache:6379/0",
        "redis://app:hunter2#x@cache:6379/0",
        "redis://app:hunter2?x@cache:6379/0",
        "redis:/app:hunter2@cache:6379",
        "app:hunter2@cache:6379",
        "redis://cache:hunter2/0",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"REDIS_URL": url})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="Redis URL") as refused:
        RedisOptions(url=url)
    assert "hunter2" not in str(refused.value)


def test_a_password_in_the_query_is_not_shown_either() -> None:
    settings = load({"REDIS_URL": "redis://cache:6379/0?password=hunter2"})
    assert "hunter2" not in settings.describe() + repr(settings) + settings.redis.options().address
    assert settings.secrets() == {"hunter2"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"HEADWATER_PRIVACY_PSEUDONYMISE": "true"}, "needs secret_key"),
        ({"HEADWATER_PRIVACY_SECRET_KEY": "short-secret-1"}, "14 bytes"),
        ({"HEADWATER_PRIVACY_PSEUDONYMISE": "perhaps"}, "true or false"),
    ],
)
def test_privacy_settings_that_protect_nothing_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load(variables)
    assert "short-secret-1" not in str(caught.value)


def test_pseudonyms_only_where_they_are_on() -> None:
    key = {"HEADWATER_PRIVACY_SECRET_KEY": "0123456789abcdef"}
    assert load(key).privacy.pseudonyms() is None
    names = load({**key, "HEADWATER_PRIVACY_PSEUDONYMISE": "true"}).privacy.pseudonyms()
    assert names is not None
    assert len(names.user("ann")) == 32
