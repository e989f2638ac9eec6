"""What a chaos run is to be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from load.chaos.schedule import WEIGHTS, FaultKind

Broker = Literal["embedded", "kafka"]
Size = Literal["small", "shipped"]
Start = Literal["fork", "command"]

DATA = Path(__file__).parents[2] / "demo" / "data"

SMALL_SOURCES = {
    "items": 8_192,
    "users": 8_192,
    "sessions": 16_384,
    "session_length": 16,
    "user_items": 32,
    "item_sessions": 32,
    "item_users": 32,
    "neighbours": 16,
}
SMALL_LEARNER = {
    "deep": False,
    "batch_units": 8,
    "publish_every_batches": 2,
    "snapshot_every_batches": 8,
}


@dataclass(frozen=True, slots=True)
class ChaosConfig:
    """How many faults of which kinds hit which system, under which traffic.

    size: small arrays and no transformer, with adapters every 16 and snapshots every 64 outcomes, or the settings
    as they are. start: workers as forks of a process that has imported the program, or by their command. entry: the
    module that is run as a worker. kinds: of the faults; all that the broker and the roles allow when empty.
    """

    kills: int
    seed: int = 1
    broker: Broker = "embedded"
    kafka_home: Path | None = None
    size: Size = "small"
    start: Start = "fork"
    recommenders: int = 1
    roles: tuple[str, ...] = ("recommender", "learner", "encoder")
    kinds: tuple[FaultKind, ...] = ()
    rate: float = 20.0
    skip: int = 0
    duplicates: float = 0.03
    poison: float = 0.01
    calm_s: float = 1.0
    logs: Path | None = None  # of the workers; None: they go with the run's folder
    settle_s: float = 60.0  # at the end, for what is still to come
    commit_interval_s: float | None = None  # None: the settings'
    entry: str = "cli.main"
    events: Path = DATA / "online_retail_ii.parquet"
    items: Path = DATA / "online_retail_ii_items.parquet"

    @property
    def names(self) -> list[str]:
        """The workers."""
        names = [f"recommender-{n}" for n in range(1, self.recommenders + 1)]
        return [name for name in [*names, "learner", "encoder"] if name.partition("-")[0] in self.roles]

    @property
    def drawn(self) -> list[FaultKind]:
        """The kinds that the schedule draws from."""
        allowed = [kind for kind in self.kinds or WEIGHTS if kind.role in (*self.roles, "broker")]
        if not self.kinds and self.broker == "kafka":
            allowed.append(FaultKind.BROKER)
        return allowed
