"""The composition root of the three workers: what each is made of, and how it starts and ends."""

import gc
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvloop

from events.clock import SystemClock
from events.topics import USER_TOPICS, Topic
from index.threads import limit_search_threads
from models.bandit import DiversityBandit
from models.encoder import TextEncoder
from models.probe import Probe
from models.ranker import Ranker
from serving.overload import Overload
from serving.recommender import Recommender
from serving.redis_store import RedisStore
from streams.agent import attach, before_shutdown, breathing, crash_of, ready_when_assigned, run
from streams.allocator import bound_arenas
from streams.backlog import Backlog
from streams.batch_publisher import BatchPublisher
from streams.building import (
    bandit_config,
    feature_schema,
    item_index,
    overload_config,
    ranker_config,
    recommend_config,
    source_set,
    stage_timer,
    state_codec,
)
from streams.continuity import Continuity
from streams.encoding import EncodingAgent
from streams.faust_app import AppConfig, make_app
from streams.following import Following
from streams.learner_parts import learning_agent, learnt_from
from streams.letter_fit import shorter
from streams.log_reader import LogReader, LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics
from streams.naming import StoreNaming, naming_of
from streams.other_log import refuse_other_log
from streams.partition_log import PartitionLog
from streams.publisher import Publisher, Record
from streams.rebuilding import Rebuilding
from streams.recommending import AgentConfig, RecommendingAgent
from streams.roles import ACCESS, Role, group_of
from streams.serving_model import ServingModel
from streams.settings import Settings
from streams.slates import SlateMaker, SlatesConfig
from streams.topics import specs, topic_name, topics_read
from streams.warming import warm_up

log = get_logger("worker")
_FETCH_WAIT_MS = 50  # of shoppers' own events, for the first of them
_FOLLOW_WAIT_MS = 25  # of everybody's, which no shopper waits for
_SWITCH_INTERVAL_S = 0.0001  # the longest that a click waits for a reader thread's Python


def run_worker(settings: Settings, *, role: Role) -> None:
    """Run one worker until it is told to stop; SystemExit above 0 when it crashed, to be started again."""
    bound_arenas()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    uvloop.install()
    metrics = Metrics(role=role)
    observability = settings.observability
    port = metrics.serve(host=observability.metrics_host, port=observability.metrics_port)
    if role != "encoder":
        limit_search_threads(settings.learner.threads)
        warm_up()
    gc.freeze()  # what is imported and compiled by now stays: the collector need not look at it again
    gc.set_threshold(50_000, 20, 100)
    log.info("%s: metrics on http://%s:%d/metrics", role, observability.metrics_host, port)
    start: dict[Role, Callable[[Settings, Metrics], None]] = {
        "recommender": run_recommender,
        "encoder": run_encoder,
        "learner": run_learner,
    }
    try:
        start[role](settings, metrics)
    finally:
        metrics.close()


def run_encoder(settings: Settings, metrics: Metrics) -> None:
    """Catalogue records in, item vectors out."""
    kafka, learner = settings.kafka, settings.learner
    agent = EncodingAgent(
        TextEncoder(learner.encoder, device=learner.device, threads=learner.threads),
        encoder_name=learner.encoder,
        vectors_topic=topic_name(Topic.ITEM_VECTORS, kafka=kafka),
        dead_letters_topic=topic_name(Topic.DEAD_LETTERS, kafka=kafka),
        metrics=metrics,
        clock=SystemClock(),
    )

    async def step(records: list[LogRecord]) -> list[Record]:
        return agent.process(records)

    app = make_app(app_config(settings, role="encoder"))
    with Publisher(kafka.confluent(), shorter=shorter) as publisher:
        attach(
            app,
            topics=[topic_name(Topic.ITEMS, kafka=kafka)],
            batch_max=128,
            step=step,
            publisher=publisher,
        )
        ready_when_assigned(app, metrics)
        run(app)


def run_learner(settings: Settings, metrics: Metrics) -> None:
    """Everything that happens in, adapters out."""
    kafka = settings.kafka
    folder = Path(settings.learner.snapshot_dir)
    agent = learning_agent(settings, metrics=metrics, folder=folder)
    refuse_other_log(kafka, agent.offsets, folder=folder)

    async def step(records: list[LogRecord]) -> list[Record]:
        return await breathing(agent.steps(records))

    app = make_app(app_config(settings, role="learner"), start_offsets=agent.offsets)
    with Publisher(kafka.confluent(), shorter=shorter) as publisher:
        attach(app, topics=list(learnt_from(settings)), batch_max=64, step=step, publisher=publisher)
        ready_when_assigned(app, metrics)
        run(app)


def run_recommender(settings: Settings, metrics: Metrics) -> None:
    """Shoppers' events in, slates out; whole topics followed beside it."""
    kafka, serving = settings.kafka, settings.serving
    index = item_index(settings)
    sources = source_set(settings, index=index)
    ranker = Ranker(
        ranker_config(settings),
        n_features=len(sources.feature_names),
        dim=index.dim,
        schema=feature_schema(sources),
    )
    recommender = Recommender(
        recommend_config(settings),
        sources=sources,
        ranker=ranker,
        bandit=DiversityBandit(bandit_config(settings)),
        timer=stage_timer(metrics),
    )
    pseudonyms = settings.privacy.pseudonyms()
    model = ServingModel(
        recommender,
        index=index,
        probe=Probe(ranker, candidates=serving.candidates, limit_ms=serving.adapter_limit_ms),
    )
    followed = topics_read(kafka, *ACCESS["recommender"].reads)
    following = Following(
        sources=sources,
        index=index,
        apply_adapter=model.apply,
        topics=followed,
        encoder_name=settings.learner.encoder,
        out_of_stock=serving.out_of_stock,
        metrics=metrics,
        clock=SystemClock(),
        pseudonyms=pseudonyms,
    )
    events = topics_read(kafka, *USER_TOPICS)
    store = RedisStore(settings.redis.options(), keys=settings.redis.key_space(partitions=kafka.partitions))
    continuity = Continuity(metrics=metrics)
    agent = RecommendingAgent(
        AgentConfig(
            topics=events,
            dead_letters_topic=topic_name(Topic.DEAD_LETTERS, kafka=kafka),
        ),
        store=RedisStore(
            settings.redis.options(), keys=settings.redis.key_space(partitions=kafka.partitions)
        ),
        codec=state_codec(settings),
        slates=SlateMaker(
            SlatesConfig(
                topic=topic_name(Topic.RECOMMENDATIONS, kafka=kafka), deep=serving.deep_budget_ms > 0
            ),
            model=model,
            lock=following.lock,
            codec=state_codec(settings),
            overload=Overload(overload_config(settings)),
            metrics=metrics,
            clock=SystemClock(),
        ),
        continuity=continuity,
        metrics=metrics,
        clock=SystemClock(),
        pseudonyms=pseudonyms,
    )
    naming = StoreNaming(store, own=naming_of(pseudonyms), partitions=kafka.partitions)
    app = make_app(app_config(settings, role="recommender"), on_positions=continuity.committed)
    reader = LogReader(
        kafka.confluent(),
        partitions={name: specs(kafka)[topic].partitions for name, topic in followed.items()},
        handle=following.handle,
        idle=following.idle,
        failed=crash_of(app),
        fetch_wait_ms=kafka.fetch_wait_ms or _FOLLOW_WAIT_MS,
        fetch_min_bytes=kafka.fetch_min_bytes,
    )
    backlog = Backlog(
        app,
        reader=reader,
        topics=events,
        behind_events=serving.behind_events,
        continuity=continuity,
        metrics=metrics,
    )
    rebuilding = Rebuilding(
        agent,
        applied=store.applied,
        continuity=continuity,
        topics=events,
        open_log=partial(PartitionLog, kafka.confluent()),
        owned=backlog.owned,
        metrics=metrics,
    )

    async def step(records: list[LogRecord]) -> list[Record]:
        if not continuity.away:
            await naming.agree()
        return await agent.process(records, behind=backlog.behind(records))

    with Publisher(kafka.confluent(), shorter=shorter) as letters:
        publisher = BatchPublisher(kafka.aiokafka(), others=letters)
        attach(
            app,
            topics=list(events),
            batch_max=serving.batch_max,
            step=step,
            publisher=publisher,
        )
        before_shutdown(app, publisher.stop)
        backlog.attach(catch_up=agent.catch_up, applied=store.applied, publisher=publisher)
        rebuilding.attach(app)
        try:
            reader.start_and_catch_up()  # until then its partitions are better off with the other workers
            run(app)
        finally:
            reader.stop()


def app_config(settings: Settings, *, role: Role) -> AppConfig:
    kafka = settings.kafka
    return AppConfig(
        group=group_of(role, topic_prefix=kafka.topic_prefix),
        bootstrap_servers=kafka.bootstrap_servers,
        data_dir=Path(tempfile.gettempdir()) / "headwater-faust",
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_s=kafka.heartbeat_s,
        fetch_wait_ms=kafka.fetch_wait_ms or _FETCH_WAIT_MS,
        fetch_every_ms=kafka.fetch_every_ms,
        commit_interval_s=kafka.commit_interval_s,
        credentials=kafka.faust_credentials(),
    )
