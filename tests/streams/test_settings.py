from pathlib import Path

import pytest

from index.sources.base import Limits
from index.sources.influence import InfluenceConfig
from models.learner import LearnerConfig
from models.ranker import RankerConfig
from streams.building import learner_config, ranker_config
from streams.errors import SettingsError
from streams.settings import KafkaSettings, RedisSettings, Settings, SourcesSettings, load, misspelt_variables
from streams.settings_example import example

ROOT = Path(__file__).parents[2]


def _toml(folder: Path, text: str) -> Path:
    path = folder / "headwater.toml"
    path.write_text(text)
    return path


def test_without_file_and_environment_everything_is_at_its_default(tmp_path: Path) -> None:
    assert load({}, folder=tmp_path) == Settings()


def test_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    _toml(tmp_path, "[kafka]\npartitions = 3\nreplication_factor = 2\n[serving]\nrepeat = false\n")
    settings = load({"KAFKA_PARTITIONS": "5"}, folder=tmp_path)
    assert settings.kafka.partitions == 5
    assert settings.kafka.replication_factor == 2
    assert settings.serving.repeat is False
    assert settings.serving.slate_size == Settings().serving.slate_size


def test_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    _toml(tmp_path, '[redis]\nurl = "redis://cache:6379/0"\n')
    assert load({"REDIS_URL": ""}, folder=tmp_path).redis.url == "redis://cache:6379/0"


def test_headwater_config_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("[learner]\nseed = 11\n")
    assert load({"HEADWATER_CONFIG": str(path)}, folder=tmp_path).learner.seed == 11


def test_missing_config_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no file at .*nowhere\.toml"):
        load({"HEADWATER_CONFIG": str(tmp_path / "nowhere.toml")})


def test_broken_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    _toml(tmp_path, "[kafka\n")
    with pytest.raises(SettingsError, match="line 1"):
        load({}, folder=tmp_path)


def test_setting_outside_a_group_is_refused(tmp_path: Path) -> None:
    _toml(tmp_path, "partitions = 3\n")
    with pytest.raises(SettingsError, match=r"partitions outside any group.*\[kafka\]"):
        load({}, folder=tmp_path)


def test_every_problem_is_reported_with_received_and_allowed_values(tmp_path: Path) -> None:
    path = _toml(tmp_path, '[learner]\ndevice = "tpu"\n[serving]\nslate_size = 0\n')
    with pytest.raises(SettingsError) as caught:
        load({"KAFKA_PARTITIONS": "many"}, folder=tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "wrong settings:"
    assert sorted(lines[1:]) == [
        "  kafka.partitions (environment variable KAFKA_PARTITIONS): received 'many'; "
        "allowed: a whole number",
        f"  learner.device (in {path}): received 'tpu'; allowed: 'auto', 'cpu' or 'cuda'",
        f"  serving.slate_size (in {path}): received 0; allowed: 1 or more",
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[kafka]\npartitons = 3\n", "did you mean kafka.partitions"),
        ("[kafak]\npartitions = 3\n", "did you mean kafka"),
    ],
)
def test_unknown_key_of_the_file_is_refused_with_the_closest_known(
    tmp_path: Path, text: str, hint: str
) -> None:
    _toml(tmp_path, text)
    with pytest.raises(SettingsError, match=hint):
        load({}, folder=tmp_path)


def test_unknown_headwater_variable_is_refused_with_the_closest_known() -> None:
    with pytest.raises(SettingsError, match="did you mean HEADWATER_SERVING_SLATE_SIZE"):
        load({"HEADWATER_SERVIN_SLATE_SIZE": "4"})


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    assert load({"KAFKA_HEAP_OPTS": "-Xmx1g", "REDIS_PORT": "tcp://x:1"}, folder=tmp_path) == Settings()


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("KAFKA_PARTITONS", "KAFKA_PARTITIONS"),
        ("KAFKA_PRATITIONS", "KAFKA_PARTITIONS"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("REDIS_PREFX", "REDIS_PREFIX"),
        ("REDIS_URI", "REDIS_URL"),
    ],
)
def test_variable_spelt_almost_like_a_setting_is_told(wrong: str, meant: str) -> None:
    assert misspelt_variables({wrong: "x"}) == [f"{wrong} is no setting; did you mean {meant}?"]


def test_settings_and_variables_of_other_programs_are_not_told_as_misspelt() -> None:
    others = [
        "KAFKA_HOME",
        "KAFKA_OPTS",
        "KAFKA_HEAP",
        "KAFKA_HEAP_OPTS",
        "KAFKA_JMX_PORT",
        "KAFKA_BROKERS",
        "KAFKA_NODE_ID",
        "KAFKA_LOG_DIRS",
        "KAFKA_NUM_PARTITIONS",
        "KAFKA_DEFAULT_REPLICATION_FACTOR",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
        "KAFKA_LISTENERS",
        "KAFKA_SSL_KEYSTORE_PASSWORD",
        "KAFKA_SSL_TRUSTSTORE_LOCATION",
        "KAFKA_VERSION",
        "KAFKA_",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_DB",
        "REDIS_USER",
        "REDIS_TLS",
        "REDIS_SERVICE_HOST",
        "REDIS_PORT_6379_TCP",
        "PARTITONS",
    ]
    own = [f"KAFKA_{field}".upper() for field in KafkaSettings.model_fields]
    own += [f"REDIS_{field}".upper() for field in RedisSettings.model_fields]
    assert misspelt_variables(dict.fromkeys([*others, *own], "x") | {"KAFKA_PARTITONS": ""}) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "REDIS_URL",
            "localhost:6379",
            "redis.url (environment variable REDIS_URL): received 'localhost:6379'; expected redis://host:port/db",
        ),
        (
            "KAFKA_BOOTSTRAP_SERVERS",
            "http://localhost:9092",
            "kafka.bootstrap_servers (environment variable KAFKA_BOOTSTRAP_SERVERS): received "
            "'http://localhost:9092'; expected host:port, without a scheme",
        ),
        (
            "HEADWATER_SOURCES_USE",
            "trending,populrity",
            "sources.use (environment variable HEADWATER_SOURCES_USE): received 'trending,populrity'; no source is "
            "called 'populrity'; did you mean popularity? allowed: session_knn, ",
        ),
        (
            "HEADWATER_LEARNER_WIDE_HIDDEN",
            "0",
            "learner.wide_hidden (environment variable HEADWATER_LEARNER_WIDE_HIDDEN): a layer needs",
        ),
    ],
)
def test_value_that_our_own_rule_refuses_is_told_with_its_variable(
    name: str, value: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    assert str(caught.value).startswith(f"wrong settings:\n  {problem}")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KAFKA_HEARTBEAT_S": "5"}, "at most a third of session_timeout_s"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs sasl_mechanism, sasl_username, sasl_password"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "use SASL_SSL or SASL_PLAINTEXT"),
        ({"KAFKA_SSL_KEYFILE": "key.pem"}, "without ssl_certfile"),
        ({"KAFKA_TOPIC_PREFIX": "a b"}, "kafka.topic_prefix"),
        ({"REDIS_URL": "http://cache"}, "redis.url"),
        (
            {"HEADWATER_SERVING_SLATE_SIZE": "20", "HEADWATER_SERVING_CANDIDATES": "10"},
            "at most candidates, 10",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(variables)


SECRETS = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "app",
    "KAFKA_SASL_PASSWORD": "hunter2",
    "KAFKA_SSL_KEY_PASSWORD": "hunter2",
    "REDIS_PASSWORD": "hunter2",
    "REDIS_URL": "rediss://app:hunter2@cache:6379/0",
    "KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092",
}


def test_secrets_never_show() -> None:
    settings = load(SECRETS)
    assert "hunter2" not in settings.describe()
    assert "rediss://app:****@cache:6379/0" in settings.describe()
    assert "hunter2" not in repr(settings.kafka)


def test_wrong_url_is_reported_without_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"REDIS_URL": "http://app:hunter2@cache"})
    assert "hunter2" not in str(caught.value)


def test_environment_gives_a_child_the_same_settings_whatever_its_file_says(tmp_path: Path) -> None:
    settings = load(SECRETS).updated(serving={"repeat": False}, kafka={"partitions": 3, "fetch_wait_ms": 20})
    _toml(tmp_path, "[kafka]\npartitions = 16\n[serving]\nrepeat = true\n")
    assert load(settings.environment(), folder=tmp_path) == settings


def test_updated_settings_are_validated() -> None:
    assert Settings().updated(kafka={"partitions": 3}).kafka.partitions == 3
    with pytest.raises(SettingsError, match="allowed: 1 or more"):
        Settings().updated(kafka={"partitions": 0})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().kafka.partitions = 3


def test_making_settings_never_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA", '{"partitions": 3}')
    assert Settings().kafka.partitions == KafkaSettings().partitions


def test_sources_settings_mirror_the_limits_of_the_sources() -> None:
    assert SourcesSettings().limits() == Limits()
    budget = {"user_burst": InfluenceConfig().burst, "user_per_hour": InfluenceConfig().per_hour}
    assert {name: getattr(SourcesSettings(), name) for name in budget} == budget
    assert set(SourcesSettings.model_fields) - {"use", *budget} == set(Limits.__slots__)


def test_learner_settings_mirror_the_defaults_of_ranker_and_learner() -> None:
    settings = Settings()
    assert learner_config(settings) == LearnerConfig(seed=settings.learner.seed)
    made, usual = ranker_config(settings), RankerConfig()
    for name in ("wide_hidden", "wide_lr", "weight_decay"):
        assert getattr(made, name) == getattr(usual, name)


def test_sizes_of_layers_are_read_from_a_variable_and_must_be_positive() -> None:
    assert load({"HEADWATER_LEARNER_WIDE_HIDDEN": "128, 32"}).learner.wide_hidden == (128, 32)
    with pytest.raises(SettingsError, match="at least 1 unit"):
        load({"HEADWATER_LEARNER_WIDE_HIDDEN": "128,0"})


def test_example_file_is_the_defaults_with_every_setting(tmp_path: Path) -> None:
    text = (ROOT / "headwater.toml.example").read_text()
    assert text == example(), "write headwater.toml.example again from streams.settings_example.example()"
    assert load({}, config=ROOT / "headwater.toml.example", folder=tmp_path) == Settings()
    for group in Settings.model_fields:
        for field in type(getattr(Settings(), group)).model_fields:
            assert f"\n{field} = " in text or f"\n# {field} =" in text


def test_embedded_servers_are_used_where_none_is_named() -> None:
    assert KafkaSettings().embedded
    assert RedisSettings().embedded
    assert not KafkaSettings(bootstrap_servers="a:9092").embedded
    assert not RedisSettings(url="redis://a").embedded
