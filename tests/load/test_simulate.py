"""Simulation against a real broker: shoppers take their slates from the topic, and taste tells."""

import json

import numpy as np
import pytest

from events.topics import Topic
from load.errors import BadLoadConfig
from load.invented_catalogue import invent_catalogue
from load.shoppers import invent_shoppers
from load.simulate import SimulationConfig, run_simulation
from load.simulation_report import SimulationReport
from streams.settings import KafkaSettings
from tests.load.answering import Answering, Slate
from tests.load.test_replay import read

CONFIG = SimulationConfig(items=200, shoppers=10, seed=4, views_per_s=200, duration_s=1.5, window_s=0.5)


def world() -> tuple[list[str], list[list[str]]]:
    """All items of CONFIG's shop, and the ten that each shopper likes best."""
    rng = np.random.default_rng(CONFIG.seed).spawn(3)[0]
    catalogue = invent_catalogue(CONFIG.items, rng=rng)
    shoppers = invent_shoppers(CONFIG.shoppers, rng=rng)
    ids = [item.item_id for item in catalogue.items]
    best = [np.argsort(-shoppers.appeal(s, catalogue=catalogue))[:10] for s in range(CONFIG.shoppers)]
    return list(ids), [[ids[row] for row in rows] for rows in best]


def favourites(user: str) -> tuple[str, ...]:
    return tuple(world()[1][int(user.rpartition("-")[2])])


def simulate(shop: KafkaSettings, *, slate: Slate, **changes: object) -> SimulationReport:
    settings = {name: getattr(CONFIG, name) for name in CONFIG.__slots__} | changes
    config = SimulationConfig(**settings | {"topic_prefix": shop.topic_prefix})
    with Answering(shop.bootstrap_servers, topic_prefix=shop.topic_prefix, slate=slate, arm="best"):
        return run_simulation(config, bootstrap=shop.bootstrap_servers, kafka=shop.kafka_python())


def test_a_perfect_recommender_is_worth_the_oracle(shop: KafkaSettings) -> None:
    report = simulate(shop, slate=favourites)
    total = report.total
    assert total.slates > 20
    assert total.slots == 10 * total.slates
    assert total.expected_ctr == pytest.approx(total.oracle_ctr)
    assert total.oracle_ctr > 3 * total.random_ctr
    assert total.ctr == pytest.approx(total.expected_ctr, rel=0.25)
    assert report.arms == {"best": total}
    assert sum(window.served.slates for window in report.windows) == total.slates
    assert report.unknown_items == 0
    assert report.page_views == 300
    assert len(read(shop, Topic.ITEMS, n=CONFIG.items)) == CONFIG.items


def test_shoppers_do_not_click_what_is_not_to_their_taste(shop: KafkaSettings) -> None:
    worst = tuple(world()[0][:10])
    report = simulate(shop, slate=lambda _: worst, publish_items=False)
    assert 0 < report.total.expected_ctr < 0.6 * report.total.oracle_ctr
    assert report.items_shown == 10


def test_swapped_tastes_make_old_favourites_worthless(shop: KafkaSettings) -> None:
    report = simulate(shop, slate=favourites, taste_swap_at_s=0.5)
    before = [window.served for window in report.windows if not window.after_swap]
    after = [window.served for window in report.windows if window.after_swap]
    assert len(before) == 1
    assert before[0].expected_ctr == pytest.approx(before[0].oracle_ctr)
    assert all(served.expected_ctr < 0.5 * served.oracle_ctr for served in after)


def test_unknown_items_are_counted_and_views_are_bounded(shop: KafkaSettings) -> None:
    report = simulate(shop, slate=lambda _: ("else",), max_views=60)
    assert report.page_views == 60
    assert report.unknown_items == report.total.slates > 0
    assert report.total.clicks == 0


def test_the_report_is_json_and_a_table(shop: KafkaSettings) -> None:
    report = simulate(shop, slate=favourites, max_views=20)
    assert json.loads(report.to_json())["total"]["slates"] == report.total.slates
    assert "clicks a slot" in report.to_text()


@pytest.mark.parametrize(
    "field",
    [{"items": 0}, {"shoppers": 0}, {"views_per_s": 0}, {"organic": 2.0}, {"duration_s": float("nan")}],
)
def test_settings_that_cannot_be_run_are_refused(field: dict[str, float]) -> None:
    with pytest.raises(BadLoadConfig, match="received"):
        SimulationConfig(**field)  # type: ignore[arg-type]
