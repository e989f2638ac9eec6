"""Which column of a file means what, and what the world calls the events that Headwater names as GA4 does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from load.errors import BadStream

ALIASES: dict[str, tuple[str, ...]] = {
    "ts": ("ts", "timestamp", "timestamp_ms", "occurred_at", "time"),
    "user": ("user", "user_id", "visitor_id", "visitorid", "customer_id"),
    "item": ("item", "item_id", "itemid", "product_id", "stock_code"),
    "event": ("event", "event_type", "event_name", "action"),
    "qty": ("qty", "quantity"),
    "price": ("price", "unit_price"),
    "basket": ("basket", "invoice", "transaction_id", "transactionid", "order_id"),
    "session": ("session", "session_id"),
    "text": ("text", "item_name", "title"),
}
"""What each column may be called in a file, tried in this order."""

REQUIRED = ("ts", "user", "item")

GA4_NAMES: dict[str, str] = {
    "view": "view_item",
    "pageview": "view_item",
    "detail": "view_item",
    "click": "select_item",
    "impression": "view_item_list",
    "addtocart": "add_to_cart",
    "cart": "add_to_cart",
    "removefromcart": "remove_from_cart",
    "transaction": "purchase",
    "buy": "purchase",
    "order": "purchase",
    "return": "refund",
}

EVENT_NAMES = (
    "view_item_list",
    "select_item",
    "view_item",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "refund",
)


def ga4_name(name: str) -> str | None:
    """The contract's name of an event that a file calls `name`; None where there is none.

    >>> ga4_name("addtocart"), ga4_name("Purchase"), ga4_name("wave")
    ('add_to_cart', 'purchase', None)
    """
    plain = name.strip().lower().replace("-", "_")
    if plain in EVENT_NAMES:
        return plain
    return GA4_NAMES.get(plain.replace("_", ""))


def parse_renames(text: str) -> dict[str, str]:
    """The renames of a command line, `meaning=column` separated by commas.

    >>> parse_renames("user=visitor_id, ts=when")
    {'user': 'visitor_id', 'ts': 'when'}

    Raises BadStream for anything else.
    """
    renames = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        meaning, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or meaning not in ALIASES:
            raise BadStream(f"columns: received {part!r}, expected NAME=COLUMN with NAME one of {_known()}")
        renames[meaning] = column
    return renames


@dataclass(frozen=True, slots=True)
class Columns:
    """How to read a table of events.

    `renames` maps a meaning (ts, user, item, event, qty, price, basket, session, text) to the file's column;
    meanings not named are found by their usual names. `default_event` is what a row is where the file has no
    event column. `time_unit` of integer times: s, ms, us or ns.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    default_event: str = "view_item"
    time_unit: str = "ms"

    def __post_init__(self) -> None:
        for meaning in self.renames:
            if meaning not in ALIASES:
                raise BadStream(f"columns: received {meaning!r}, expected one of {_known()}")
        if self.default_event not in EVENT_NAMES:
            raise BadStream(f"default_event: received {self.default_event!r}, expected one of {EVENT_NAMES}")
        if self.time_unit not in ("s", "ms", "us", "ns"):
            raise BadStream(f"time_unit: received {self.time_unit!r}, expected s, ms, us or ns")

    def find(self, present: Sequence[str], *, where: str) -> dict[str, str]:
        """The file's column for each meaning it has; raises BadStream where a required one is missing."""
        found: dict[str, str] = {}
        for meaning, usual in ALIASES.items():
            renamed = self.renames.get(meaning)
            if renamed is not None and renamed not in present:
                raise BadStream(f"{where}: no column {renamed!r} for {meaning}; it has {', '.join(present)}")
            name = renamed or next((alias for alias in usual if alias in present), None)
            if name is not None:
                found[meaning] = name
        missing = [meaning for meaning in REQUIRED if meaning not in found]
        if missing:
            raise BadStream(
                f"{where}: no column for {', '.join(missing)}; it has {', '.join(present)}; "
                f"name them with --columns {missing[0]}=COLUMN"
            )
        return found


def _known() -> str:
    return ", ".join(ALIASES)
