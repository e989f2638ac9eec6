"""The names of Headwater's topics, and which events belong on which."""

from enum import StrEnum


class Topic(StrEnum):
    """Every topic, by its name without the deployment's prefix."""

    IMPRESSIONS = "impressions"
    CLICKS = "clicks"
    CARTS = "carts"
    PURCHASES = "purchases"
    SEARCHES = "searches"
    ITEMS = "items"
    ITEM_VECTORS = "item-vectors"
    RECOMMENDATIONS = "recommendations"
    ADAPTERS = "adapters"
    DEAD_LETTERS = "dead-letters"


USER_TOPICS = (Topic.IMPRESSIONS, Topic.CLICKS, Topic.CARTS, Topic.PURCHASES, Topic.SEARCHES)
"""What a storefront sends, keyed by user id. Their order numbers them in saved state: only append."""

COMPACTED_TOPICS = (Topic.ITEMS, Topic.ITEM_VECTORS, Topic.ADAPTERS)

TOPIC_OF: dict[str, Topic] = {
    "view_item_list": Topic.IMPRESSIONS,
    "select_item": Topic.CLICKS,
    "view_item": Topic.CLICKS,
    "add_to_cart": Topic.CARTS,
    "remove_from_cart": Topic.CARTS,
    "purchase": Topic.PURCHASES,
    "refund": Topic.PURCHASES,
    "search": Topic.SEARCHES,
    "item": Topic.ITEMS,
}
"""The topic of each value of the field `event`."""


def events_on(topic: Topic) -> list[str]:
    """The `event` names that `topic` carries.

    >>> events_on(Topic.CARTS)
    ['add_to_cart', 'remove_from_cart']
    """
    return [event for event, home in TOPIC_OF.items() if home is topic]
