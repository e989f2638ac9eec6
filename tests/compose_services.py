"""docker-compose.yml read as data: what each service runs, with which environment.

So that a test can run every service of ours as a plain process against other servers: `local_environment` is
the service's environment with the addresses of the composition replaced by those at hand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE_FILE = Path(__file__).parents[1] / "docker-compose.yml"
PROGRAM = "headwater"
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>\w+)|\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<word>[^}]*))?\})"
)


class ComposeError(Exception):
    """The compose file says something that cannot be run."""


@dataclass(frozen=True)
class ComposeService:
    """One service as it is to be run."""

    name: str
    image: str
    command: tuple[str, ...]  # () : the image's own
    environment: dict[str, str]
    depends_on: dict[str, str]  # service -> condition
    replicas: int

    @property
    def ours(self) -> bool:
        """True for a service that runs the command `headwater`."""
        return self.command[:1] == (PROGRAM,)

    def local_environment(self, replacements: Mapping[str, str]) -> dict[str, str]:
        """The service's variables, those in `replacements` with the value there.

        Raises ComposeError for a variable that the service doesn't have: the file would then not be tested
        for what it says.
        """
        if unknown := sorted(set(replacements) - set(self.environment)):
            raise ComposeError(f"service {self.name} has no {', '.join(unknown)} to replace")
        return self.environment | dict(replacements)


def read_compose(path: Path = COMPOSE_FILE, *, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as Compose sees it: anchors merged, variables put in (from `environ`, else their defaults)."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    interpolated = _interpolated(document, environ=environ or {})
    return {key: value for key, value in interpolated.items() if not key.startswith("x-")}


def services(
    path: Path = COMPOSE_FILE, *, environ: Mapping[str, str] | None = None
) -> dict[str, ComposeService]:
    """Every service of the file, by name."""
    given = read_compose(path, environ=environ)["services"]
    return {name: _service(name, given=service) for name, service in given.items()}


def interpolate(text: str, *, environ: Mapping[str, str]) -> str:
    """`text` with $NAME, ${NAME}, ${NAME:-default}, ${NAME-default} and ${NAME:?error} put in; $$ is a $.

    >>> interpolate("${A:-1} ${B} $$C", environ={"B": "2"})
    '1 2 $C'
    """
    return _VARIABLE.sub(lambda match: _value(match, environ=environ), text)


def _value(match: re.Match[str], *, environ: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    name, operator, word = match["bare"] or match["name"], match["operator"] or "", match["word"] or ""
    value = environ.get(name)
    if value is None or (operator.startswith(":") and not value):
        if operator.endswith("?"):
            raise ComposeError(f"variable {name} is needed: {word}")
        return word
    return value


def _interpolated(value: Any, *, environ: Mapping[str, str]) -> Any:
    match value:
        case str():
            return interpolate(value, environ=environ)
        case dict():
            return {key: _interpolated(item, environ=environ) for key, item in value.items()}
        case list():
            return [_interpolated(item, environ=environ) for item in value]
        case _:
            return value


def _service(name: str, *, given: Mapping[str, Any]) -> ComposeService:
    command = given.get("command", [])
    if isinstance(command, str):
        raise ComposeError(f"service {name}: write the command as a list, so that no shell splits it")
    return ComposeService(
        name=name,
        image=given["image"],
        command=tuple(command),
        environment={key: str(value) for key, value in given.get("environment", {}).items()},
        depends_on={other: terms["condition"] for other, terms in given.get("depends_on", {}).items()},
        replicas=given.get("deploy", {}).get("replicas", 1),
    )
