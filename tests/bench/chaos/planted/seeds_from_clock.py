"""A worker of a build whose learner takes its chance from the clock."""

import time
from dataclasses import replace

from cli.main import main
from models.learner import LearnerConfig
from streams import learner_parts
from streams.settings import Settings

_configured = learner_parts.learner_config


def learner_config(settings: Settings) -> LearnerConfig:
    """As streams.building.learner_config, with another seed in every life."""
    return replace(_configured(settings), seed=time.time_ns() % 2**31)


if __name__ == "__main__":
    learner_parts.learner_config = learner_config
    main()
