"""Shoppers who click on what they are shown: closes the loop from recommendation to learning."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.ids import ItemId, UserId
from events.pseudonyms import Pseudonyms
from events.recommendation import Recommendation
from events.types import AnyUserEvent, SelectItem
from load.answers import AnswerReader
from load.browsing import Visit, browse, view_slate
from load.errors import BadLoadConfig
from load.invented_catalogue import invent_catalogue
from load.progress import Moment, Silent, Watcher
from load.sender import EventSender
from load.shoppers import chances, invent_shoppers
from load.simulation_report import SimulationReport, Tallies

_NS_PER_S = 1_000_000_000
_SLICE_NS = 100_000_000
_SHOW_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """How to simulate.

    items, shoppers: how many there are; both and their tastes follow from `seed`. views_per_s: page views a
    second, of all shoppers together; duration_s, max_views: when to end, whichever comes first.
    new_session: the share of page views that begin a session.

    A page view shows the newest recommendation of the shopper, once; a shopper who has no new one browses by
    taste, and so does a share `organic` of the others. taste_swap_at_s: when all tastes move to other
    categories. publish_items: send the catalogue first. window_s: the report's resolution.
    """

    items: int = 1_000
    shoppers: int = 200
    seed: int = 0
    views_per_s: float = 20.0
    duration_s: float = 60.0
    max_views: int = 1_000_000
    new_session: float = 0.2
    organic: float = 0.3
    taste_swap_at_s: float | None = None
    publish_items: bool = True
    window_s: float = 5.0
    topic_prefix: str = ""
    pseudonyms: Pseudonyms | None = None  # by which the system names shoppers, if it does
    linger_ms: float = 1.0
    fetch_wait_ms: int = 20

    def __post_init__(self) -> None:
        for name in ("items", "shoppers", "max_views", "fetch_wait_ms"):
            if getattr(self, name) < 1:
                raise BadLoadConfig(f"{name}: received {getattr(self, name)}, expected at least 1")
        for name in ("views_per_s", "duration_s", "window_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise BadLoadConfig(f"{name}: received {getattr(self, name)}, expected a number above 0")
        for name in ("new_session", "organic"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadLoadConfig(f"{name}: received {getattr(self, name)}, expected a share from 0 to 1")


def run_simulation(
    config: SimulationConfig,
    *,
    bootstrap: str,
    kafka: Mapping[str, Any] | None = None,
    progress: Watcher | None = None,
    stop: Event | None = None,
) -> SimulationReport:
    """Runs the shop until its end, `stop` or Ctrl-C, and returns the report.

    `kafka` are more options of kafka-python's clients (TLS, SASL). BrokerTrouble where Kafka fails.
    """
    watcher = progress or Silent()
    interrupted = False
    with watcher:
        shop = _Shop(config, bootstrap=bootstrap, kafka=kafka or {})
        try:
            shop.open(watcher=watcher, stop=stop or Event())
        except KeyboardInterrupt:
            interrupted = True
        finally:
            shop.close()
    return shop.report(interrupted=interrupted)


class _Shop:
    """The storefront: one thread of page views, and the answer reader's thread that brings new slates."""

    def __init__(self, config: SimulationConfig, *, bootstrap: str, kafka: Mapping[str, Any]) -> None:
        self.config = config
        world, self._arrivals, self._behaviour = np.random.default_rng(config.seed).spawn(3)
        self._catalogue = invent_catalogue(config.items, rng=world)
        self._shoppers = invent_shoppers(config.shoppers, rng=world)
        self._rows = {item.item_id: row for row, item in enumerate(self._catalogue.items)}
        self._sessions = [0] * config.shoppers
        self._newest: dict[str, Recommendation] = {}  # by user; only the simulation's own shoppers
        self._users = [UserId(f"shopper-{config.seed}-{number}") for number in range(config.shoppers)]
        names = config.pseudonyms  # user by what the system calls them
        self._known = {user if names is None else names.user(user): user for user in self._users}
        self._tallies = Tallies(window_s=config.window_s, swap_at_s=config.taste_swap_at_s)
        self._shown: set[ItemId] = set()
        self._views = self._sent = self._recommendations = self._unreadable = self._unknown_items = 0
        self._elapsed_s = 0.0
        self._run_id = f"sim{config.seed}-{time.time_ns() // 1_000_000}"
        self._answers = AnswerReader(
            bootstrap,
            kafka=kafka,
            topic_prefix=config.topic_prefix,
            fetch_wait_ms=config.fetch_wait_ms,
            on_recommendation=self._recommended,
            on_unreadable=self._cannot_read,
        )
        try:
            self._answers.start()
            self._sender = EventSender(
                bootstrap, kafka=kafka, topic_prefix=config.topic_prefix, linger_ms=config.linger_ms
            )
        except BaseException:
            self._answers.close()
            raise

    def open(self, *, watcher: Watcher, stop: Event) -> None:
        """Publishes the catalogue and serves page views at their due times, until the end."""
        config = self.config
        if config.publish_items:
            for item in self._catalogue.items:
                self._sender.send_item(item)
            self._sender.flush()
        shoppers, swap_at_s = self._shoppers, config.taste_swap_at_s
        start_ns = time.monotonic_ns()
        show_ns = 0
        for view in range(config.max_views):
            due_ns = round(view * _NS_PER_S / config.views_per_s)
            if due_ns >= config.duration_s * _NS_PER_S or stop.is_set():
                break
            while (now_ns := time.monotonic_ns() - start_ns) < due_ns and not stop.is_set():
                time.sleep(min(due_ns - now_ns, _SLICE_NS) / _NS_PER_S)
            if swap_at_s is not None and due_ns >= swap_at_s * _NS_PER_S:
                shoppers, swap_at_s = shoppers.swapped(), None
            shopper = int(self._arrivals.integers(0, config.shoppers))
            appeal = shoppers.appeal(shopper, catalogue=self._catalogue)
            for event in self._page_view(shopper, appeal=appeal, at_s=due_ns / _NS_PER_S):
                self._sender.send(event, ticket=None, now_ns=now_ns)
                self._sent += 1
            self._elapsed_s = (time.monotonic_ns() - start_ns) / _NS_PER_S
            if now_ns >= show_ns:
                show_ns = now_ns + _SHOW_NS
                self._answers.check()
                watcher.show(self._moment())

    def close(self) -> None:
        """Delivers what was sent and ends both clients."""
        try:
            self._sender.flush()
        finally:
            self._sender.close()
            self._answers.close()

    def report(self, *, interrupted: bool) -> SimulationReport:
        """What was found out."""
        return SimulationReport(
            seed=self.config.seed,
            items=self.config.items,
            shoppers=self.config.shoppers,
            elapsed_s=round(self._elapsed_s, 3),
            page_views=self._views,
            events_sent=self._sent,
            recommendations=self._recommendations,
            unreadable_recommendations=self._unreadable,
            items_shown=len(self._shown),
            unknown_items=self._unknown_items,
            total=self._tallies.all.served(),
            windows=self._tallies.windows(),
            arms=self._tallies.arms(),
            interrupted=interrupted,
        )

    def _page_view(self, shopper: int, *, appeal: NDArray[np.float64], at_s: float) -> Iterator[AnyUserEvent]:
        rng, user = self._behaviour, self._users[shopper]
        begins, organic = rng.random(2) < (self.config.new_session, self.config.organic)
        self._sessions[shopper] += int(begins)
        self._views += 1
        visit = Visit(
            user_id=user,
            session_id=f"{user}-{self._sessions[shopper]}",
            now_ms=time.time_ns() // 1_000_000,
            id_prefix=f"{self._run_id}-{self._views}-",
        )
        newest = None if organic else self._newest.pop(user, None)
        if newest is None or not newest.items:
            yield from browse(visit, appeal=appeal, catalogue=self._catalogue, rng=rng)
            return
        shown = np.array([self._rows.get(entry.item_id, -1) for entry in newest.items], dtype=np.int64)
        events = list(
            view_slate(
                visit,
                rec_id=newest.rec_id,
                slate=newest.items,
                shown=shown,
                appeal=appeal,
                catalogue=self._catalogue,
                rng=rng,
            )
        )
        self._tallies.add(
            at_s=at_s,
            arm=newest.policy.arm,
            slots=len(shown),
            clicks=sum(isinstance(event, SelectItem) for event in events),
            worth=chances(appeal, shown=shown),
        )
        self._shown.update(entry.item_id for entry in newest.items)
        self._unknown_items += int((shown < 0).sum())
        yield from events

    def _moment(self) -> Moment:
        total = self._tallies.all.served()
        return Moment(
            phase="shopping",
            elapsed_s=self._elapsed_s,
            share=min(1.0, self._elapsed_s / self.config.duration_s),
            line=f"{self._views:,} views, {total.slates:,} slates shown, clicks a slot {total.ctr:.3f} "
            f"(random {total.random_ctr:.3f}, oracle {total.oracle_ctr:.3f})",
        )

    # Called in the answer reader's thread: each sets one thing that the page views only take.

    def _recommended(self, recommendation: Recommendation, _arrived_ns: int) -> None:
        self._recommendations += 1
        user = self._known.get(recommendation.user_id)
        if user is not None:
            self._newest[user] = recommendation

    def _cannot_read(self) -> None:
        self._unreadable += 1
