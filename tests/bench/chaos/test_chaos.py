"""Real processes are killed and nothing is lost; and where a build breaks a promise, the ledger says so."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.chaos.config import ChaosConfig
from bench.chaos.launching import Forks
from bench.chaos.run import ChaosOutcome, run_chaos
from bench.machine import Machine
from events.codec import encode
from load.chaos.findings import Wrong
from load.chaos.schedule import WEIGHTS, FaultKind
from streams.settings import Settings
from tests.servers import EMBEDDED, broker_kinds
from tests.storefront import view

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLANTED = "tests.bench.chaos.planted"
# A broker that KAFKA_BOOTSTRAP_SERVERS names is somebody's: it is not killed.
BROKERS = [kind for kind in broker_kinds(os.environ) if kind == EMBEDDED or os.environ.get("KAFKA_HOME")]
KILLS = {EMBEDDED: 6, "kafka": 4}
KINDS = {
    EMBEDDED: tuple(WEIGHTS),
    "kafka": (FaultKind.RECOMMENDER, FaultKind.LEARNER, FaultKind.BROKER),
}


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The program imported once, for every worker of every run."""
    with Forks(log=tmp_path_factory.mktemp("template") / "template.log") as ready:
        yield ready


def hit(config: ChaosConfig, forks: Forks) -> ChaosOutcome:
    return run_chaos(config, settings=Settings(), forks=forks)


@pytest.mark.parametrize("broker", BROKERS)
def test_nothing_is_lost_duplicated_or_diverged(broker: str, forks: Forks) -> None:
    home = Path(os.environ["KAFKA_HOME"]) if broker == "kafka" else None
    config = ChaosConfig(
        kills=KILLS[broker],
        seed=11,
        kinds=KINDS[broker],
        broker=broker,  # type: ignore[arg-type]
        kafka_home=home,
        calm_s=0.4,
    )
    outcome = hit(config, forks)
    assert outcome.clean, f"{outcome.verdict.line()}\n{outcome.verdict.first}\n{outcome.stopped}"
    checked = outcome.verdict.checked
    assert checked["events"] > 200
    assert checked["slates"] > 100
    assert checked["items"] > 200
    assert checked["adapter versions"] > 5
    assert checked["snapshots"] > 0
    assert {one.kind for one in outcome.struck} == set(config.drawn)
    written = outcome.report(Machine.describe([])).as_dict()
    assert {"kills", "lost", "duplicated", "diverged", "recovery_s", "seed", "machine"} <= written.keys()


def test_build_that_commits_before_it_writes_loses_events(forks: Forks) -> None:
    outcome = hit(
        ChaosConfig(
            kills=3,
            seed=1,
            roles=("recommender",),
            kinds=(FaultKind.RECOMMENDER,),
            entry=f"{PLANTED}.commits_first",
            rate=60,
            calm_s=0.4,
            settle_s=10,
        ),
        forks,
    )
    assert outcome.verdict.count(Wrong.LOST) > 0


def test_build_that_skips_the_watermark_counts_events_twice(forks: Forks, tmp_path: Path) -> None:
    # Three shoppers, so that what is redelivered goes beyond the event ids that a state remembers.
    clicks = tmp_path / "clicks.jsonl"
    made = [view(f"shopper-{n % 3}", f"item-{n % 40}", number=n) for n in range(4_000)]
    clicks.write_bytes(b"".join(encode(event) + b"\n" for event in made))
    outcome = hit(
        ChaosConfig(
            kills=2,
            seed=1,
            roles=("recommender",),
            kinds=(FaultKind.RECOMMENDER,),
            entry=f"{PLANTED}.skips_watermark",
            events=clicks,
            rate=60,
            duplicates=0,
            poison=0,
            calm_s=1.5,
            settle_s=10,
            commit_interval_s=60,
        ),
        forks,
    )
    assert outcome.verdict.count(Wrong.DUPLICATED) > 0


def test_build_that_seeds_from_the_clock_diverges(forks: Forks) -> None:
    outcome = hit(
        ChaosConfig(
            kills=1,
            seed=1,
            roles=("learner",),
            kinds=(FaultKind.LEARNER,),
            entry=f"{PLANTED}.seeds_from_clock",
            rate=40,
            settle_s=10,
        ),
        forks,
    )
    assert outcome.verdict.count(Wrong.DIVERGED) > 0
    assert outcome.verdict.count(Wrong.LOST) == 0
