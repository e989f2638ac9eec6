"""Servers and folders of an end-to-end test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.settings import KafkaSettings, Settings
from tests.systems import small_settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(kafka: KafkaSettings, redis_url: str, redis_prefix: str, tmp_path: Path) -> MakeSettings:
    """Settings of a small system with topics and keys of its own; keyword arguments change groups."""

    def make(**groups: dict[str, Any]) -> Settings:
        return small_settings(
            kafka, redis_url=redis_url, redis_prefix=redis_prefix, folder=tmp_path, **groups
        )

    return make
