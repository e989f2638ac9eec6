"""The baselines of the prequential benchmark by name, each made for a stream from a seed.

All learn every unit at once except ALS and BPR, which are refitted every 5 % of the stream. One configuration
serves all streams. Their few settings were chosen on the two public streams that are reported (the half-life, the
tie-break, the confidence of ALS on parts or all of them), which if anything flatters the baselines.
"""

from load.prequential.baselines.basket_hybrid import BasketHybrid
from load.prequential.baselines.factorisation import Als, Bpr, FactorisationConfig, Factorised
from load.prequential.baselines.personal import PersonalFrequency
from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS, MostPopular
from load.prequential.baselines.rules import SequentialRules
from load.prequential.baselines.session_knn import STAN, VS_KNN, VSTAN, SessionKnn, SessionKnnConfig
from load.prequential.contender import Contender, Factory, StreamInfo


def _popularity(info: StreamInfo, _: int) -> Contender:
    return MostPopular(info, name="popularity")


def _recent_popularity(info: StreamInfo, _: int) -> Contender:
    return MostPopular(info, name="recent-popularity", half_life_ms=RECENT_HALF_LIFE_MS)


def _personal_frequency(info: StreamInfo, _: int) -> Contender:
    return PersonalFrequency(info)


def _sequential_rules(info: StreamInfo, _: int) -> Contender:
    return SequentialRules(info)


def _basket_hybrid(info: StreamInfo, _: int) -> Contender:
    return BasketHybrid(info)


def _session_knn(name: str, config: SessionKnnConfig) -> Factory:
    return lambda info, _: SessionKnn(info, name=name, config=config)


def _als(info: StreamInfo, seed: int) -> Contender:
    config = FactorisationConfig()
    return Factorised(info, name="als", model=Als(info, config=config, seed=seed), config=config)


def _bpr(info: StreamInfo, seed: int) -> Contender:
    config = FactorisationConfig()
    return Factorised(info, name="bpr", model=Bpr(config=config, seed=seed), config=config)


FACTORIES: dict[str, Factory] = {
    "popularity": _popularity,
    "recent-popularity": _recent_popularity,
    "personal-frequency": _personal_frequency,
    "sequential-rules": _sequential_rules,
    "basket-hybrid": _basket_hybrid,
    "vs-knn": _session_knn("vs-knn", VS_KNN),
    "stan": _session_knn("stan", STAN),
    "vstan": _session_knn("vstan", VSTAN),
    "als": _als,
    "bpr": _bpr,
}
