"""headwater.toml.example, written from the settings: every setting, its default and its variable."""

import json
import textwrap
from typing import Any

from pydantic import BaseModel, SecretStr

from streams.settings import CONFIG_FILE, CONFIG_VARIABLE, Settings, env_name

_HEAD = f"""\
# Headwater's settings and their defaults. Copy this file to {CONFIG_FILE}, or name another with
# {CONFIG_VARIABLE}, and change what you need. The environment wins over the file: each setting's variable
# stands after "env". A setting without a default is commented out. Keep passwords in the environment.
"""


def example() -> str:
    """The text of headwater.toml.example; read as TOML it gives the defaults."""
    parts = [_HEAD]
    for group in Settings.model_fields:
        model = type(getattr(Settings(), group))
        parts.append(f"\n# {textwrap.dedent(model.__doc__ or '').strip()}\n[{group}]\n")
        parts.extend(_entry(group, model=model, field=field) for field in model.model_fields)
    return "".join(parts)


def _entry(group: str, *, model: type[BaseModel], field: str) -> str:
    info = model.model_fields[field]
    note = f"# {info.description} (env {env_name(group, field)})\n"
    if info.default is None:
        return f"{note}# {field} =\n"
    return f"{note}{field} = {toml_value(info.default)}\n"


def toml_value(value: Any) -> str:
    """A setting as a TOML value; strings are escaped as in JSON, whose escapes TOML shares."""
    if isinstance(value, SecretStr):
        raise TypeError("a secret has no default")
    return json.dumps(value)
