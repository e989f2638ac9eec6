"""What every group of settings is made of."""

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


def _split(values: object) -> object:
    return tuple(value.strip() for value in values.split(",")) if isinstance(values, str) else values


BY_COMMAS = BeforeValidator(_split)  # of a tuple that the environment has with commas between


def refused(expected: str) -> PydanticCustomError:
    """What a field's validator raises: the report adds the setting, its variable and what was received."""
    return PydanticCustomError("refused", "{expected}", {"expected": expected})


class Group(BaseModel):
    """Settings that do not change, and take no name that they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
