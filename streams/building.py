"""What recommender and learner are both made of, from the settings: the same parts, or an adapter would not fit."""

import hashlib
from typing import Any

from index.items import ItemIndex
from index.sources.assembly import SourcesConfig, choices
from index.sources.influence import InfluenceConfig
from index.sources.source_set import SourceSet
from models.adapter_record import config_hash
from models.bandit import BanditConfig, scaled_arms
from models.deep_config import DeepConfig
from models.drift import DriftConfig
from models.encoder import vector_size
from models.learner import Learner, LearnerConfig
from models.memory_trial import MemoryTrialConfig
from models.promotion import PromotionConfig
from models.ranker import RankerConfig
from models.slate import SlateConfig
from models.slate_loss import LossConfig
from models.slate_records import OutcomesConfig
from serving.learning import LearningConfig
from serving.overload import OverloadConfig
from serving.recommender import RecommendConfig, StageTimer
from serving.state import StateCodec
from serving.state_layout import FoldConfig
from streams.metrics import Metrics
from streams.settings import Settings


def item_index(settings: Settings) -> ItemIndex:
    device = settings.learner.device
    return ItemIndex(vector_size(settings.learner.encoder), device="gpu" if device == "cuda" else device)


def source_set(settings: Settings, *, index: ItemIndex) -> SourceSet:
    config = SourcesConfig(
        sources=choices(settings.sources.use),
        candidates=settings.serving.candidates,
        repeat=settings.serving.repeat,
        influence=InfluenceConfig(burst=settings.sources.user_burst, per_hour=settings.sources.user_per_hour),
    )
    return SourceSet(settings.sources.limits(), index=index, config=config, dim=index.dim)


def ranker_config(settings: Settings) -> RankerConfig:
    learner = settings.learner
    chosen = settings.deep
    deep = DeepConfig(
        backbone=learner.encoder,
        layers=chosen.layers,
        candidates=settings.serving.deep_candidates,
        lr=chosen.lr,
        dtype=chosen.dtype,
        train_dtype=chosen.train_dtype,
        fgm_epsilon=chosen.fgm_epsilon,
        augment=chosen.augment,
        twin=chosen.twin,
        slow_decay=chosen.twin_decay,
        slow_share=chosen.twin_share,
        anchor=chosen.twin_anchor,
    )
    return RankerConfig(
        wide_hidden=learner.wide_hidden,
        wide_lr=learner.wide_lr,
        weight_decay=learner.weight_decay,
        deep=deep if learner.deep else None,
        seed=learner.seed,
        device=learner.device,
        threads=learner.threads,
    )


def feature_schema(sources: SourceSet) -> str:
    """Stands for what the features mean, so that an adapter made for others is refused."""
    return hashlib.sha256("\n".join(sources.feature_names).encode()).hexdigest()[:16]


def learner_config(settings: Settings) -> LearnerConfig:
    learner, deep = settings.learner, settings.deep
    return LearnerConfig(
        loss=LossConfig(focal_gamma=learner.focal_gamma, class_balance=learner.class_balance),
        deep_every=deep.every,
        deep_units=deep.units,
        task_weight=deep.task_weight,
        replay_ratio=learner.replay_ratio,
        replay_steps=learner.replay_steps,
        average=learner.average,
        seed=learner.seed,
        drift=DriftConfig(memory=MemoryTrialConfig(items=learner.drift_memory)) if learner.drift else None,
        promotion=promotion_config(settings),
    )


def promotion_config(settings: Settings) -> PromotionConfig | None:
    learner = settings.learner
    if not learner.promotion:
        return None
    return PromotionConfig(
        margin=learner.promotion_margin,
        calibration=learner.promotion_calibration,
        window=learner.promotion_window,
        patience_units=learner.promotion_patience,
    )


def adapters_hash(settings: Settings, *, learner: Learner) -> str:
    """Stands for everything that adapters depend on beside the log."""
    return config_hash(
        [
            learner.ranker.fingerprint(),
            learner.ranker.config,
            learner.config,
            learning_config(settings),
            bandit_config(settings),
            settings.sources.limits(),
            settings.sources.use,
            settings.serving.candidates,
            settings.serving.repeat,
            settings.learner.publish_every_batches,
            outcomes_config(settings),
        ]
    )


def learning_config(settings: Settings) -> LearningConfig:
    return LearningConfig(batch_units=settings.learner.batch_units, users=settings.learner.users)


def outcomes_config(settings: Settings) -> OutcomesConfig:
    learner = settings.learner
    return OutcomesConfig(window_ms=learner.impression_window_minutes * 60_000, capacity=learner.open_slates)


def bandit_config(settings: Settings) -> BanditConfig:
    return BanditConfig(arms=scaled_arms(settings.serving.diversity), seed=settings.learner.seed)


def recommend_config(settings: Settings) -> RecommendConfig:
    serving = settings.serving
    return RecommendConfig(
        slate=SlateConfig(k=serving.slate_size, temperature=serving.temperature),
    )


def overload_config(settings: Settings) -> OverloadConfig:
    return OverloadConfig(budget_ms=max(0.001, settings.serving.deep_budget_ms))


def state_codec(settings: Settings) -> StateCodec:
    return StateCodec(config=FoldConfig(session_gap_ms=settings.sources.session_gap_ms))


def stage_timer(metrics: Metrics) -> StageTimer:
    stages: dict[str, Any] = {}

    def observe(stage: str, ms: float) -> None:
        if stage not in stages:
            stages[stage] = metrics.stage_ms.labels(stage=stage)
        stages[stage].observe(ms)

    return observe
