"""What folding means, in plain Python: objects, lists and sorting, one event at a time."""

from dataclasses import dataclass, field

from events.columns import Kind
from serving.decay import STEPS, half_life_table
from serving.state_layout import ONE, FoldConfig, StateLayout


@dataclass
class Event:
    """One event of one user; `items` may repeat."""

    user: int
    event_id: int
    time_ms: int
    kind: Kind
    items: list[int]
    session_id: int = 0
    position: tuple[int, int, int] = (-1, -1, -1)


@dataclass
class Item:
    item: int
    first_ms: int
    last_ms: int
    kind: Kind
    views: int = 0
    purchases: int = 0
    decayed: int = 0


@dataclass
class User:
    first_ms: int = 0
    last_ms: int = 0
    events: int = 0
    impressions: int = 0
    purchases: int = 0
    position: tuple[int, int, int] = (-1, -1, -1)
    seen: list[int] = field(default_factory=list)  # the latest last
    session_id: int = 0
    session_start_ms: int | None = None
    session_last_ms: int = 0
    session: list[tuple[int, int, Kind]] = field(default_factory=list)  # (item, ms, kind), most recent first
    history: list[Item] = field(default_factory=list)  # most recent first


class Reference:
    """Folds events into users; the same answers as the kernel, by other means."""

    def __init__(self, layout: StateLayout, config: FoldConfig) -> None:
        self.layout = layout
        self.config = config
        self.users: dict[int, User] = {}
        self.weights = {
            Kind.CLICK: round(config.click_weight * ONE),
            Kind.CART: round(config.cart_weight * ONE),
            Kind.UNCART: round(config.cart_weight * ONE),
            Kind.PURCHASE: round(config.purchase_weight * ONE),
            Kind.REFUND: round(config.purchase_weight * ONE),
        }

    def fold(self, event: Event) -> bool:
        user = self.users.setdefault(event.user, User())
        if event.event_id and event.event_id in user.seen[-self.layout.seen :]:
            return False
        if event.event_id:
            user.seen.append(event.event_id)
        user.first_ms = event.time_ms if user.events == 0 else min(user.first_ms, event.time_ms)
        user.last_ms = max(user.last_ms, event.time_ms)
        user.events += 1
        user.position = event.position
        user.purchases += event.kind is Kind.PURCHASE and bool(event.items)
        # An event without items (a search) has no row, so neither its kind nor its session is known.
        in_session = (event.kind is not Kind.REFUND or not event.items) and self.continue_session(user, event)
        for item in dict.fromkeys(event.items):  # once each
            if event.kind is Kind.IMPRESSION:
                user.impressions += 1
            elif event.kind in (Kind.UNCART, Kind.REFUND):
                self.undo(user, item, event)
            else:
                if in_session:
                    later = [slot for slot in user.session if slot[1] > event.time_ms]
                    rest = [slot for slot in user.session if slot[1] <= event.time_ms]
                    user.session = [*later, (item, event.time_ms, event.kind), *rest][: self.layout.session]
                self.touch(user, item, event)
        return True

    def continue_session(self, user: User, event: Event) -> bool:
        session_id = event.session_id if event.items else 0
        other = 0 not in (session_id, user.session_id) and session_id != user.session_id
        gap_ms = self.config.session_gap_ms
        silent = event.time_ms - user.session_last_ms > gap_ms
        if user.session_start_ms is None or (event.time_ms >= user.session_last_ms and (other or silent)):
            user.session, user.session_id = [], session_id
            user.session_start_ms = user.session_last_ms = event.time_ms
            return True
        if other or user.session_start_ms - event.time_ms > gap_ms:
            return False
        user.session_id = session_id or user.session_id
        user.session_start_ms = min(user.session_start_ms, event.time_ms)
        user.session_last_ms = max(user.session_last_ms, event.time_ms)
        return True

    def touch(self, user: User, item: int, event: Event) -> None:
        weight = self.weights[event.kind]
        known = next((slot for slot in user.history if slot.item == item), None)
        if known is None:
            if len(user.history) == self.layout.history:
                older = user.history[self.layout.history // 2 :]
                user.history.remove(
                    min(
                        reversed(older),
                        key=lambda slot: self.decay(slot.decayed, user.last_ms - slot.last_ms),
                    )
                )
            known = Item(item, event.time_ms, event.time_ms, event.kind)
        elif event.time_ms >= known.last_ms:
            user.history.remove(known)
        if event.kind is Kind.PURCHASE:
            known.purchases += 1
        else:
            known.views += 1
        known.first_ms = min(known.first_ms, event.time_ms)
        if event.time_ms < known.last_ms:
            known.decayed += self.decay(weight, known.last_ms - event.time_ms)
            return
        known.decayed = self.decay(known.decayed, event.time_ms - known.last_ms) + weight
        known.last_ms = event.time_ms
        known.kind = event.kind
        later = [slot for slot in user.history if slot.last_ms > known.last_ms]
        user.history = [*later, known, *[slot for slot in user.history if slot.last_ms <= known.last_ms]]

    def undo(self, user: User, item: int, event: Event) -> None:
        for slot in user.history:
            if slot.item == item:
                if event.kind is Kind.REFUND:
                    slot.purchases = max(slot.purchases - 1, 0)
                else:
                    slot.views = max(slot.views - 1, 0)
                slot.decayed = max(slot.decayed - self.weights[event.kind], 0)
                if event.time_ms >= slot.last_ms:
                    slot.kind = event.kind

    def decay(self, value: int, age_ms: int) -> int:
        """value * 2^(-age / half life), in whole numbers of any size."""
        table = [int(entry) for entry in half_life_table()]
        halvings, rest_ms = divmod(age_ms, self.config.half_life_ms)
        step, rest = divmod(rest_ms * STEPS, self.config.half_life_ms)
        factor = table[step] + (
            (table[step + 1] - table[step]) * (rest * 2**16 // self.config.half_life_ms) >> 16
        )
        return (value * factor + ONE // 2) // ONE // 2**halvings
