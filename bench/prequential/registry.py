"""Every contender by name: Headwater's variants, and the baselines."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.prequential.variants import VARIANTS, variant_of
from load.prequential.contender import Contender, Factory, StreamInfo
from streams.settings import Settings

USUAL = {
    "basket": ("popularity", "recent-popularity", "personal-frequency", "basket-hybrid"),
    "session": ("recent-popularity", "sequential-rules", "vs-knn", "stan", "vstan"),
    "event": ("recent-popularity", "personal-frequency", "sequential-rules", "stan"),
}
"""The baselines that run beside Headwater where no models are named."""


LEARNED = ("sasrec", "river-mf")
"""The names in baselines_torch.py, without its libraries, which only the processes of these two need."""

OVER_OUR_FEATURES = "lambdamart"
"""The name in lambdamart.py: another ranker over the product's sources."""


def baseline_names() -> tuple[str, ...]:
    """All baselines."""
    from load.prequential.baselines import FACTORIES

    return (*FACTORIES, *LEARNED, OVER_OUR_FEATURES)


def reads_catalogue(name: str) -> bool:
    """Whether this contender reads the catalogue's text vectors."""
    return name in VARIANTS or name == OVER_OUR_FEATURES


def pick_models(text: str, *, protocol: str) -> tuple[str, ...]:
    """The names that `text` lists, separated by commas; "" is Headwater and the protocol's usual baselines,
    "all" everything there is. BenchError for a name that nothing has."""
    known = (*VARIANTS, *baseline_names())
    if not text:
        return ("headwater", *(name for name in USUAL[protocol] if name in known))
    names = (
        known
        if text == "all"
        else tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    )
    for name in names:
        if name not in known:
            raise BenchError(f"--models: nothing is called {name!r}; there are {', '.join(known)}")
    return names


@dataclass(frozen=True, slots=True)
class FactoryBook:
    """Gives the factory of a name; sent to the process of each contender. `vectors`: see catalogue.py."""

    settings: Settings
    vectors: Path

    def __call__(self, name: str) -> Factory:
        if name in VARIANTS:
            return self._headwater(name)
        if name == OVER_OUR_FEATURES:
            return self._lambdamart()
        if name in LEARNED:
            from bench.prequential import baselines_torch

            return baselines_torch.LEARNED[name]
        from load.prequential.baselines import FACTORIES

        return FACTORIES[name]

    def _headwater(self, name: str) -> Factory:
        # Here, so that the process of a baseline is not charged for the product's libraries.
        from bench.prequential.catalogue import read_vectors
        from bench.prequential.headwater import Headwater, benchmark_settings

        variant = variant_of(name)

        def make(info: StreamInfo, seed: int) -> Contender:
            return Headwater(
                info,
                name=name,
                variant=variant,
                settings=benchmark_settings(self.settings, variant=variant, seed=seed),
                vectors=read_vectors(self.vectors),
            )

        return make

    def _lambdamart(self) -> Factory:
        from bench.prequential.catalogue import read_vectors
        from bench.prequential.headwater import benchmark_settings
        from bench.prequential.lambdamart import VARIANT, TreeRanking

        def make(info: StreamInfo, seed: int) -> Contender:
            settings = benchmark_settings(self.settings, variant=VARIANT, seed=seed)
            return TreeRanking(info, settings=settings, vectors=read_vectors(self.vectors))

        return make
