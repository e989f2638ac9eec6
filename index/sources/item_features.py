"""What a candidate is by itself and to its shopper: age, own history, price, kind, text.

What is called for every candidate is inlined: a call hands over the shape and strides of every array.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from events.columns import Kind
from index.sources.half_precision import add_vector, dot3, normalise

Bools = NDArray[np.bool_]
F32 = NDArray[np.float32]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

ITEM_FEATURES = (
    "age",  # log1p(days since the item was first known), 0 where it isn't
    "own.purchases",  # log1p(times the shopper bought it)
    "own.views",  # log1p(clicks and carts)
    "own.decayed",  # log1p(decayed frequency as of its last touch)
    "own.recency",  # 1 / (1 + days since the shopper's last touch), 0 where there was none
    "own.since",  # log1p(seconds since the last touch), 0 where there was none
    "own.due",  # time since the last touch / mean interval of the touches, at most 5; 0 for fewer than two
    "session.times",  # log1p(times in the session)
    "session.place",  # 1 / (1 + how many came after it in the session)
    "price",  # log1p(price), 0 where unknown
    "price.relative",  # log(price / geometric mean of the history's prices) in [-4, 4], 0 where unknown
    "category.last",  # 1 where it has the last item's category
    "category.share",  # share of the latest history with its category
    "brand.last",
    "brand.share",
    "text.known",  # 1 where it has a text vector
    "text.last",  # cosine with the last item
    "text.session",  # cosine with the mean of the session's latest items
    "text.history",  # cosine with the mean of the latest history
    "shopper.history",  # log1p(distinct items of the shopper's history)
    "shopper.session",  # log1p(interactions of the session)
    "own.rate",  # touches / distinct times of the history since the first of them, at most 1
    "own.behind",  # log1p(distinct times of the history since the last of them)
    "own.overdue",  # log time since the last touch - mean log interval of everybody's returns
    "item.returns",  # share of everybody's visits of the item that were returns, smoothed
    "item.interval",  # mean log1p(hours) of everybody's returns, smoothed
    "item.idle",  # log1p(seconds since anybody touched it)
    "item.slowing",  # the same in hours - log1p(mean hours between touches by the longest half-life)
    "shopper.visits",  # log1p(distinct times of the history)
    "shopper.away",  # log1p(seconds since the shopper's last touch)
    "shopper.returns",  # share of the shopper's items touched more than once
    "session.pending",  # 1 where it was put into the cart in the session and not bought since
    "session.bought",  # 1 where it was bought in the session
    "shopper.carted",  # 1 where the session's latest touch put something into the cart
    "shopper.bought",  # 1 where it bought something
    "shopper.pending",  # log1p(items of the session that are pending)
)
PENDING, BOUGHT = 1, 2  # of an item in the session's cart
LATEST = 24  # items of the history that means and shares are taken over
SESSION_LATEST = 8  # items of the session that its mean vector is taken over
DAY_MS = 86_400_000.0
HOUR_MS = 3_600_000.0
SECOND_MS = 1_000.0
_CART, _PURCHASE = int(Kind.CART), int(Kind.PURCHASE)


@njit(nogil=True, cache=True, inline="always")
def positive(value: float) -> float:
    """The value in [0, 1e9]; 0 for NaN."""
    return min(value, 1e9) if value > 0.0 else 0.0


@njit(nogil=True, cache=True, inline="always")
def log1p(value: float) -> float:
    """log(1 + value) to within 2e-16, in half the time of the library's, which is exact for values near 0 too."""
    return float(np.log(1.0 + value))


@njit(nogil=True, cache=True)
def describe_shopper(
    session: I32,
    history: I32,
    price: F32,
    category: I32,
    brand: I32,
    vectors: U16,
    has_text: Bools,
    means: F32,
    categories: I32,
    brands: I32,
) -> tuple[float, int, int, int]:
    """The mean log price of the latest history (NaN where unknown), how many items that is over, and the
    sizes of the whole history and of the session.

    `means` (3, D) gets the last item's vector and the session's and history's mean directions, zeros where
    there is no text; `categories` and `brands` (1 + LATEST,) the last item's and then the latest history's.
    """
    means[:] = 0.0
    categories[:] = 0
    brands[:] = 0
    in_session = in_history = latest = priced = 0
    log_price = 0.0
    for t in range(len(session)):
        item = session[t]
        if item == 0:
            continue
        in_session += 1
        if in_session <= SESSION_LATEST and has_text[item]:
            add_vector(means[1], vectors[item], 1.0)
    for t in range(len(history)):
        item = history[t]
        if item == 0:
            continue
        in_history += 1
        if latest == LATEST:
            continue
        latest += 1
        categories[latest] = category[item]
        brands[latest] = brand[item]
        if price[item] > 0.0:
            log_price += np.log(price[item])
            priced += 1
        if has_text[item]:
            add_vector(means[2], vectors[item], 1.0)
    last = 0
    if len(session) > 0:
        last = session[0]
    if last == 0 and len(history) > 0:
        last = history[0]
    if last != 0:
        categories[0] = category[last]
        brands[0] = brand[last]
        if has_text[last]:
            add_vector(means[0], vectors[last], 1.0)
    for mean in range(3):
        normalise(means[mean])
    return (log_price / priced if priced > 0 else np.nan), latest, in_history, in_session


@njit(nogil=True, cache=True, inline="always")
def fill_own(
    row: F32, now_ms: int, first_ms: int, last_ms: int, views: float, purchases: float, decayed: float
) -> None:
    """The `own.` features of an item that the shopper touched before, into row[1:7]."""
    since_ms = max(now_ms - last_ms, 0)
    touches = positive(views) + positive(purchases)
    row[1] = log1p(positive(purchases))
    row[2] = log1p(positive(views))
    row[3] = log1p(positive(decayed))
    row[4] = 1.0 / (1.0 + since_ms / DAY_MS)
    row[5] = log1p(since_ms / SECOND_MS)
    if touches > 1.0 and last_ms > first_ms:
        row[6] = min(since_ms * (touches - 1.0) / (last_ms - first_ms), 5.0)


@njit(nogil=True, cache=True, inline="always")
def number_visits(history: I32, last_ms: I64, times: I64, behind: I32) -> int:
    """How many distinct times the history has; `times` (T,) gets them, latest first, and `behind` (T,) how
    many of them came after each item's last touch."""
    count = 0
    for t in range(len(history)):
        if history[t] == 0:
            behind[t] = 0
            continue
        if count == 0 or last_ms[t] < times[count - 1]:
            times[count] = last_ms[t]
            count += 1
        behind[t] = count - 1
    return count


@njit(nogil=True, cache=True, inline="always")
def fill_rate(row: F32, touches: float, first_ms: int, behind: int, times: I64, visits: int) -> None:
    """`own.rate` and `own.behind`, into row[21:23]; `times` (T,) are `visits` distinct ones, latest first."""
    low, high = 0, visits
    while low < high:
        middle = (low + high) // 2
        if times[middle] >= first_ms:
            low = middle + 1
        else:
            high = middle
    row[21] = min(touches / max(low, 1), 1.0)
    row[22] = log1p(behind)


@njit(nogil=True, cache=True, inline="always")
def read_cart(session: I32, kinds: I8, cart: I8) -> int:
    """How many items of the session (L,), most recent first, are pending: put into the cart and not bought
    since. `cart` (N,) gets PENDING or BOUGHT at the items that are so; the caller zeroes it again."""
    pending = 0
    for back in range(len(session)):
        t = len(session) - 1 - back
        item, kind = session[t], kinds[t]
        if item == 0:
            continue
        before = cart[item]
        if kind == _PURCHASE:
            cart[item] = BOUGHT
        elif kind == _CART:
            cart[item] = PENDING
        pending += (cart[item] == PENDING) - (before == PENDING)
    return pending


@njit(nogil=True, cache=True, inline="always")
def fill_cart(row: F32, of_item: int, last_kind: int, pending: int) -> None:
    """The cart's features, into row[31:36]; `last_kind` is of the session's latest touch, 0 without one."""
    row[31] = 1.0 if of_item == PENDING else 0.0
    row[32] = 1.0 if of_item == BOUGHT else 0.0
    row[33] = 1.0 if last_kind == _CART else 0.0
    row[34] = 1.0 if last_kind == _PURCHASE else 0.0
    row[35] = log1p(pending)


@njit(nogil=True, cache=True, inline="always")
def fill_habits(
    row: F32, sums: F32, short_power: float, short_ms: float, long_power: float, long_ms: float
) -> None:
    """`own.overdue` where row[5] is known, and `item.returns` to `item.slowing`, into row[23:28].

    The powers are log2 of the decayed counts with the shortest and the longest half-life, in ms. A count of
    the shortest is about 2^-(half-lives since the last touch); one of the longest is its rate times
    half_life / ln 2.
    """
    row[24] = (sums[1] + 0.2) / (sums[0] + 2.0)
    row[25] = (sums[2] + 5.0 * 6.0) / (sums[1] + 5.0)  # six is about 17 days
    if row[5] > 0.0:
        row[23] = log1p(np.expm1(row[5]) * SECOND_MS / HOUR_MS) - row[25]
    idle_ms = min(max(-short_power * short_ms, 0.0), 1e5 * HOUR_MS)
    row[26] = log1p(idle_ms / SECOND_MS)
    count = max(np.exp2(max(min(long_power, 40.0), -20.0)), 1e-3)
    row[27] = log1p(idle_ms / HOUR_MS) - log1p(long_ms / HOUR_MS / np.log(2.0) / count)


@njit(nogil=True, cache=True, inline="always")
def fill_item(
    row: F32,
    now_ms: int,
    first_ms: int,
    price: float,
    mean_log_price: float,
    category: int,
    brand: int,
    categories: I32,
    brands: I32,
    latest: int,
) -> None:
    """The age, price, category and brand features, into row[0] and row[9:15]."""
    if first_ms > 0:
        row[0] = log1p(max(now_ms - first_ms, 0) / DAY_MS)
    if price > 0.0:
        row[9] = log1p(price)
        if not np.isnan(mean_log_price):
            row[10] = min(max(np.log(price) - mean_log_price, -4.0), 4.0)
    for part in range(2):
        mine, others = (category, categories) if part == 0 else (brand, brands)
        if mine == 0:
            continue
        row[11 + 2 * part] = 1.0 if others[0] == mine else 0.0
        same = 0
        for t in range(1, latest + 1):
            same += others[t] == mine
        row[12 + 2 * part] = same / max(latest, 1)


@njit(nogil=True, cache=True, inline="always")
def fill_text(row: F32, vector: U16, means: F32) -> None:
    """The `text.` features of an item that has a vector, into row[15:19]."""
    row[15] = 1.0
    last, session, history = dot3(vector, means[0], means[1], means[2])
    row[16] = min(max(last, -1.0), 1.0)
    row[17] = min(max(session, -1.0), 1.0)
    row[18] = min(max(history, -1.0), 1.0)
