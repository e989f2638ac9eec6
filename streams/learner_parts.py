"""The learner's agent with all its parts, from the settings: for its worker, and for making an adapter again."""

from pathlib import Path

from events.clock import SystemClock
from events.topics import Topic
from models.bandit import DiversityBandit
from models.learner import Learner
from models.slate_outcomes import SlateOutcomes
from serving.learning import Learning
from serving.recommender import Recommender
from streams.building import (
    adapters_hash,
    bandit_config,
    feature_schema,
    item_index,
    learner_config,
    learning_config,
    outcomes_config,
    ranker_config,
    recommend_config,
    source_set,
    state_codec,
)
from streams.following import Following
from streams.learning import LearningAgent, LearningAgentConfig
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.naming import agree_in_folder, naming_of
from streams.roles import ACCESS
from streams.settings import Settings
from streams.topics import topic_name, topics_read


def learnt_from(settings: Settings) -> dict[str, Topic]:
    """What the learner reads: full topic name -> what it carries."""
    return topics_read(settings.kafka, *ACCESS["learner"].reads)


def learning_agent(
    settings: Settings, *, metrics: Metrics, folder: Path, snapshots: bool = True
) -> LearningAgent:
    """The agent as `folder` has it.

    `snapshots`: take any; without them the state is the same, and `folder` gets nothing but the journal.
    """
    kafka = settings.kafka
    index = item_index(settings)
    sources = source_set(settings, index=index)
    learner = Learner(
        ranker_config(settings),
        learner_config(settings),
        n_features=len(sources.feature_names),
        dim=index.dim,
        schema=feature_schema(sources),
    )
    bandit = DiversityBandit(bandit_config(settings))
    recommender = Recommender(
        recommend_config(settings), sources=sources, ranker=learner.ranker, bandit=bandit
    )
    topics = learnt_from(settings)
    pseudonyms = settings.privacy.pseudonyms()
    agree_in_folder(folder, own=naming_of(pseudonyms))
    return LearningAgent(
        LearningAgentConfig(
            topics=topics,
            adapters_topic=topic_name(Topic.ADAPTERS, kafka=kafka),
            folder=folder,
            publish_every=settings.learner.publish_every_batches,
            snapshot_every=settings.learner.snapshot_every_batches if snapshots else None,
            snapshots_kept=settings.learner.snapshots_kept,
            adapters_kept=settings.learner.adapters_kept,
            journal_bytes=settings.learner.journal_mb * 1_000_000,
            config=adapters_hash(settings, learner=learner),
        ),
        learning=Learning(
            learning_config(settings), recommender=recommender, learner=learner, codec=state_codec(settings)
        ),
        following=Following(
            sources=sources,
            index=index,
            apply_adapter=_refuse_adapter,
            topics=topics,
            encoder_name=settings.learner.encoder,
            out_of_stock=settings.serving.out_of_stock,
            metrics=metrics,
            clock=SystemClock(),
        ),
        bandit=bandit,
        outcomes=SlateOutcomes(outcomes_config(settings)),
        metrics=metrics,
        clock=SystemClock(),
        pseudonyms=pseudonyms,
    )


def _refuse_adapter(_record: LogRecord) -> int:
    raise TypeError("the learner makes adapters and reads none")
