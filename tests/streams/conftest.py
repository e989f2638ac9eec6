"""What tests of the agents share."""

import pytest

from streams.warming import warm_up
from tests.models.conftest import deep_config, tiny_backbone

__all__ = ["deep_config", "tiny_backbone"]


@pytest.fixture(scope="session")
def compiled() -> None:
    """Kernels are compiled once, before a test that counts on their speed."""
    warm_up()
