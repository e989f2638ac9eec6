"""Which sources there are, how much each proposes, and how they are put together over the shared state."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from index.sources.base import Limits, Source
from index.sources.catalogue import Catalogue
from index.sources.history_covisitation import HistoryCovisitation
from index.sources.influence import InfluenceConfig
from index.sources.new_arrivals import NewArrivals
from index.sources.own_history import OwnHistory
from index.sources.popularity import Popularity
from index.sources.sequential_rules import SequentialRules
from index.sources.session_covisitation import SessionCovisitation
from index.sources.session_knn import SessionKnn
from index.sources.text_neighbours import Search, TextNeighbours
from index.sources.traces import Traces
from index.sources.trending import Trending
from index.sources.two_hop import TwoHop
from index.sources.user_knn import UserKnn


@dataclass(frozen=True, slots=True)
class Choice:
    """One source: how many items it proposes at most, and its weight in the fusion of ranks."""

    name: str
    n: int = 100
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"source {self.name!r} is unknown; allowed: {', '.join(NAMES)}")
        if not 1 <= self.n <= 1000 or not 0 < self.weight < float("inf"):
            raise ValueError(
                f"source {self.name!r} has n {self.n}, weight {self.weight}; expected 1 to 1000, > 0"
            )


@dataclass(frozen=True, slots=True)
class Shared:
    """What the sources are built over."""

    limits: Limits
    traces: Traces
    catalogue: Catalogue
    popularity: Popularity
    search: Search


BUILDERS: dict[str, Callable[[Shared, int], Source]] = {
    "session_knn": lambda over, n: SessionKnn(over.limits, over.traces, n),
    "sequential_rules": lambda over, n: SequentialRules(over.limits, over.traces, n),
    "session_covisitation": lambda over, n: SessionCovisitation(over.limits, over.traces, n),
    "history_covisitation": lambda over, n: HistoryCovisitation(over.limits, over.traces, n),
    "two_hop": lambda over, n: TwoHop(over.limits, traces=over.traces, n=n),
    "user_knn": lambda over, n: UserKnn(over.limits, traces=over.traces, n=n),
    "own_history": lambda over, n: OwnHistory(over.limits, n=n),
    "popularity": lambda over, _: over.popularity,
    "trending": lambda over, n: Trending(over.limits, popularity=over.popularity, n=n),
    "text_neighbours": lambda over, n: TextNeighbours(
        over.limits, catalogue=over.catalogue, search=over.search, n=n
    ),
    "new_arrivals": lambda over, n: NewArrivals(over.limits, catalogue=over.catalogue, n=n),
}
NAMES = tuple(BUILDERS)


_CHOICES = (
    Choice("session_knn"),
    Choice("sequential_rules"),
    Choice("session_covisitation"),
    Choice("history_covisitation"),
    Choice("two_hop"),
    Choice("user_knn"),
    Choice("own_history", weight=3.0),
    Choice("popularity"),
    Choice("trending", n=60),
    Choice("text_neighbours"),
    Choice("new_arrivals", n=60),
)
IN_USE = tuple(name for name in NAMES if name not in ("two_hop", "user_knn"))
"""The sources in use by default: the others find little that these do not, at a third of the time of all."""


def choices(names: Collection[str]) -> tuple[Choice, ...]:
    """The sources of these names with their usual sizes and weights, in their usual order; ValueError where one
    is unknown."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"sources {unknown} are unknown; allowed: {', '.join(NAMES)}")
    return tuple(choice for choice in _CHOICES if choice.name in names)


@dataclass(frozen=True, slots=True)
class SourcesConfig:
    """The sources in use, in the order of their bits and features, and how their union is cut."""

    sources: tuple[Choice, ...] = choices(IN_USE)
    candidates: int = 150  # C
    reserved: int = 5  # the first choices of each source that are kept whatever the others say
    repeat: bool = True  # items that the shopper bought may come back; consumables always may
    influence: InfluenceConfig = field(default_factory=InfluenceConfig)

    def __post_init__(self) -> None:
        names = [choice.name for choice in self.sources]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"sources are {names}; expected at least one, each once")
        if self.candidates < 1 or self.reserved < 0:
            raise ValueError(
                f"candidates {self.candidates}, reserved {self.reserved}; expected >= 1 and >= 0"
            )


def assemble(config: SourcesConfig, *, over: Shared) -> tuple[Source, ...]:
    """The configured sources, in order."""
    return tuple(BUILDERS[choice.name](over, choice.n) for choice in config.sources)
