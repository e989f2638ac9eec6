"""Settings from the environment and a TOML file: the only reader of the environment.

Every setting has one name, `group.field`: in the file a `[group]` with a `field`; in the environment
KAFKA_FIELD and REDIS_FIELD for those two groups and HEADWATER_GROUP_FIELD for the others. The environment
wins over the file, the file over the defaults. An empty variable counts as not set.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from streams.deep_settings import DeepSettings
from streams.errors import SettingsError
from streams.kafka_settings import KafkaSettings
from streams.privacy_settings import PrivacySettings
from streams.redis_settings import RedisSettings
from streams.settings_groups import (
    LearnerSettings,
    ObservabilitySettings,
    ServingSettings,
    SourcesSettings,
)
from streams.settings_problems import (
    masked_url,
    misspelling_of,
    unknown_key,
    url_passwords,
    validation_problems,
)

__all__ = [
    "DeepSettings",
    "KafkaSettings",
    "LearnerSettings",
    "ObservabilitySettings",
    "PrivacySettings",
    "RedisSettings",
    "ServingSettings",
    "Settings",
    "SourcesSettings",
    "env_name",
    "load",
    "misspelt_variables",
]

CONFIG_VARIABLE = "HEADWATER_CONFIG"
CONFIG_FILE = "headwater.toml"
_OWN_PREFIX = "HEADWATER_"
_UNPREFIXED = ("kafka", "redis")


class Settings(BaseSettings):
    """Every setting of the system. `Settings()` is the defaults; `load()` reads file and environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    serving: ServingSettings = ServingSettings()
    learner: LearnerSettings = LearnerSettings()
    deep: DeepSettings = DeepSettings()
    sources: SourcesSettings = SourcesSettings()
    privacy: PrivacySettings = PrivacySettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic-settings passes all five)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over, so that making a Settings never reads the environment by itself."""
        return (init_settings,)

    def updated(self, **groups: Mapping[str, Any]) -> "Settings":
        """These settings with some fields of some groups changed and everything validated again.

        >>> Settings().updated(kafka={"partitions": 4}, redis={"prefix": "test"}).kafka.partitions
        4

        Raises SettingsError like `load`.
        """
        values = {group: {**dict(getattr(self, group)), **fields} for group, fields in groups.items()}
        return _validated(dict(self) | values, origins={})

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these settings whatever its file says. Holds secrets."""
        return {
            env_name(group, field): _as_text(value)
            for group, field, value in _flat(self)
            if value is not None and value != ""
        }

    def secrets(self) -> frozenset[str]:
        """The text of every password and key, as it is and as it stands in a URL. Never show them."""
        found = {value.get_secret_value() for *_, value in _flat(self) if isinstance(value, SecretStr)}
        return frozenset(found | url_passwords(self.redis.url)) - {""}

    def describe(self) -> str:
        """Every setting as `group.field = value`, one a line; secrets and passwords in URLs masked."""
        return "\n".join(f"{group}.{field} = {_shown(value)}" for group, field, value in _flat(self))


def load(
    environ: Mapping[str, str] | None = None, *, folder: Path | None = None, config: Path | None = None
) -> Settings:
    """The settings that the environment and the TOML file give.

    environ: the environment; os.environ when not given. folder: where headwater.toml is looked for; the
    working directory when not given. config: a TOML file that wins over HEADWATER_CONFIG and headwater.toml.
    Raises SettingsError with one line for every wrong or unknown setting.
    """
    variables = os.environ if environ is None else environ
    path = _config_path(variables, folder=folder or Path(), config=config)
    from_file = _read_toml(path)
    origins = {f"{group}.{field}": f"in {path}" for group, table in from_file.items() for field in table}
    values: dict[str, dict[str, Any]] = {group: dict(table) for group, table in from_file.items()}
    problems = [
        unknown_key(key, origin=str(path), known=_names())
        for group, table in from_file.items()
        for key in (
            [group] if group not in Settings.model_fields else [f"{group}.{field}" for field in table]
        )
        if key not in _names()
    ]
    for group, field in _fields():
        name = env_name(group, field)
        if text := variables.get(name, ""):
            values.setdefault(group, {})[field] = text
            origins[f"{group}.{field}"] = f"environment variable {name}"
    problems += _unknown_variables(variables)
    if problems:
        raise SettingsError(_report(problems))
    return _validated(values, origins=origins)


def misspelt_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """One line for each KAFKA_ or REDIS_ variable that is no setting but spelt almost like one.

    `load` refuses none of them, for other programs have variables of these prefixes too.

    >>> misspelt_variables({"KAFKA_PARTITONS": "4", "KAFKA_HOME": "/opt/kafka"})
    ['KAFKA_PARTITONS is no setting; did you mean KAFKA_PARTITIONS?']
    """
    variables = os.environ if environ is None else environ
    found = []
    for group in _UNPREFIXED:
        prefix = env_name(group, "")
        known = {env_name(group, field).removeprefix(prefix) for of, field in _fields() if of == group}
        for name in sorted(variables):
            if name.startswith(prefix) and variables[name]:
                near = misspelling_of(name.removeprefix(prefix), known=known)
                if near is not None:
                    found.append(f"{name} is no setting; did you mean {prefix}{near}?")
    return found


def env_name(group: str, field: str) -> str:
    """The environment variable of a setting.

    >>> env_name("kafka", "bootstrap_servers"), env_name("serving", "slate_size")
    ('KAFKA_BOOTSTRAP_SERVERS', 'HEADWATER_SERVING_SLATE_SIZE')
    """
    prefix = "" if group in _UNPREFIXED else _OWN_PREFIX
    return f"{prefix}{group}_{field}".upper()


def _config_path(variables: Mapping[str, str], *, folder: Path, config: Path | None) -> Path | None:
    named = config or (Path(text) if (text := variables.get(CONFIG_VARIABLE, "")) else None)
    if named is None:
        usual = folder / CONFIG_FILE
        return usual if usual.is_file() else None
    if not named.is_file():
        raise SettingsError(f"settings: no file at {named} (from {CONFIG_VARIABLE} or --config)")
    return named


def _read_toml(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None:
        return {}
    try:
        tables: dict[str, Any] = dict(TomlConfigSettingsSource(Settings, toml_file=path).toml_data)
    except (TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"settings: {path} cannot be read as TOML: {error}") from error
    if loose := [key for key, value in tables.items() if not isinstance(value, dict)]:
        known = [f"[{group}]" for group in Settings.model_fields]
        raise SettingsError(
            f"settings: {path} has {', '.join(loose)} outside any group; the groups are {', '.join(known)}"
        )
    return tables


def _unknown_variables(variables: Mapping[str, str]) -> list[str]:
    known = {env_name(group, field) for group, field in _fields()}
    return [
        unknown_key(name, origin="environment", known=known)
        for name in sorted(variables)
        if name.startswith(_OWN_PREFIX) and name not in known and name != CONFIG_VARIABLE
    ]


def _validated(values: Mapping[str, Any], *, origins: Mapping[str, str]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_report(validation_problems(error, origins=origins))) from None


def _report(problems: list[str]) -> str:
    return "wrong settings:\n" + "\n".join(f"  {problem}" for problem in problems)


def _fields() -> Iterator[tuple[str, str]]:
    for group, info in Settings.model_fields.items():
        model = info.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"Settings.{group} must be a group of settings, not {model}")
        for field in model.model_fields:
            yield group, field


def _names() -> set[str]:
    return {f"{group}.{field}" for group, field in _fields()} | set(Settings.model_fields)


def _flat(settings: Settings) -> Iterator[tuple[str, str, Any]]:
    for group, field in _fields():
        yield group, field, getattr(getattr(settings, group), field)


def _as_text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "(not set)"
    return "****" if isinstance(value, SecretStr) else masked_url(_as_text(value))
