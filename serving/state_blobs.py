"""States and the bytes that stand for them in a store: fixed-width rows here, only the filled words there.

Packed: header, seen ids, session slots, history slots, each cut to its count; little-endian int64 words.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from serving.errors import StateFormatError
from serving.state_layout import (
    FORMAT,
    HEADER,
    HISTORY_COUNT,
    HISTORY_SLOT,
    OFFSET,
    PARTITION,
    SEEN_COUNT,
    SESSION_COUNT,
    SESSION_SLOT,
    TOPIC,
    USER,
    StateLayout,
)

_STORED = np.dtype("<i8")  # a word in the store, whatever the machine


def new_states(users: NDArray[np.int64], *, layout: StateLayout) -> NDArray[np.int64]:
    """(B, W) int64: users of whom nothing is known yet. users: (B,) int64 stable_hash."""
    states = np.zeros((len(users), layout.words), dtype=np.int64)
    _start(states, np.zeros(len(users), dtype=np.bool_), users, layout.format_word)
    return states


def pack(
    states: NDArray[np.int64], *, layout: StateLayout, rows: NDArray[np.int64] | None = None
) -> list[bytes]:
    """A blob of each of the B states, or of those at `rows` (k,): as long as what is known of the user.

    Equal states give equal bytes.
    """
    rows = np.arange(len(states)) if rows is None else rows
    stops = np.empty(len(rows), dtype=np.int64)
    words = np.empty(_sizes(states, rows, stops, layout.seen), dtype=_STORED)
    _pack(states, rows, stops, words, layout.seen, layout.session_at, layout.history_at)
    raw = words.tobytes()
    edges = (stops * _STORED.itemsize).tolist()
    return [raw[start:stop] for start, stop in zip([0, *edges], edges, strict=False)]


def unpack(
    blobs: Sequence[bytes | None], *, users: NDArray[np.int64], layout: StateLayout
) -> NDArray[np.int64]:
    """(B, W) int64: the states that `pack` wrote, new ones for None. users: (B,) int64 stable_hash.

    StateFormatError when a blob has another layout, version, length or user; its `rows` are all such blobs.
    """
    states = np.zeros((len(blobs), layout.words), dtype=np.int64)
    sizes = np.array([len(blob) if blob is not None else 0 for blob in blobs], dtype=np.int64)
    raw = b"".join([blob for blob in blobs if blob is not None])
    whole = len(raw) - len(raw) % _STORED.itemsize
    words = np.frombuffer(raw, dtype=_STORED, count=whole // _STORED.itemsize).astype(np.int64, copy=False)
    bad = np.zeros(len(blobs), dtype=np.bool_)
    present = np.array([blob is not None for blob in blobs], dtype=np.bool_)
    if (sizes % _STORED.itemsize).any():
        bad |= sizes % _STORED.itemsize != 0  # the words no longer line up: only these can be told
    else:
        stops = np.cumsum(sizes // _STORED.itemsize)
        _unpack(
            states,
            words,
            stops,
            present,
            users,
            bad,
            layout.format_word,
            layout.seen,
            layout.session,
            layout.history,
        )
    if bad.any():
        rows = np.flatnonzero(bad).tolist()
        blob = blobs[rows[0]] or b""
        raise StateFormatError(
            rows=rows,
            received=f"{len(blob)} bytes starting {blob[:16].hex() or '(empty)'}",
            expected=(
                f"format word {layout.format_word} ({layout}), user {users[rows[0]]}, "
                "and as many whole words as its counts say"
            ),
        )
    _start(states, present, users, layout.format_word)
    return states


@njit(nogil=True, cache=True)
def _start(
    states: NDArray[np.int64], present: NDArray[np.bool_], users: NDArray[np.int64], format_word: int
) -> None:
    """Fill the first words of the states that are not `present` (B,)."""
    for b in range(len(states)):
        if not present[b]:
            states[b, FORMAT] = format_word
            states[b, USER] = users[b]
            states[b, TOPIC] = states[b, PARTITION] = states[b, OFFSET] = -1


@njit(nogil=True, cache=True)
def _sizes(states: NDArray[np.int64], rows: NDArray[np.int64], stops: NDArray[np.int64], seen: int) -> int:
    """Fills `stops` (k,): the words up to the end of each packed state of `rows`. Returns all words."""
    total = 0
    for b in range(len(rows)):
        row = states[rows[b]]
        total += HEADER + min(row[SEEN_COUNT], seen)
        total += row[SESSION_COUNT] * SESSION_SLOT + row[HISTORY_COUNT] * HISTORY_SLOT
        stops[b] = total
    return total


@njit(nogil=True, cache=True)
def _pack(
    states: NDArray[np.int64],
    rows: NDArray[np.int64],
    stops: NDArray[np.int64],
    words: NDArray[np.int64],
    seen: int,
    session_at: int,
    history_at: int,
) -> None:
    at = 0
    for b in range(len(rows)):
        row = states[rows[b]]
        head = HEADER + min(row[SEEN_COUNT], seen)
        session = row[SESSION_COUNT] * SESSION_SLOT
        history = row[HISTORY_COUNT] * HISTORY_SLOT
        words[at : at + head] = row[:head]
        words[at + head : at + head + session] = row[session_at : session_at + session]
        words[at + head + session : stops[b]] = row[history_at : history_at + history]
        at = stops[b]


@njit(nogil=True, cache=True)
def _unpack(
    states: NDArray[np.int64],
    words: NDArray[np.int64],
    stops: NDArray[np.int64],
    present: NDArray[np.bool_],
    users: NDArray[np.int64],
    bad: NDArray[np.bool_],
    format_word: int,
    seen: int,
    session: int,
    history: int,
) -> None:
    """Fills `states`, and `bad` (B,) where the words are not a state of this layout and user."""
    session_at = HEADER + seen
    history_at = session_at + session * SESSION_SLOT
    stop = 0
    for b in range(len(states)):
        at, stop = stop, stops[b]
        if not present[b]:
            continue
        if stop - at < HEADER or words[at + FORMAT] != format_word or words[at + USER] != users[b]:
            bad[b] = True
            continue
        kept_seen = words[at + SEEN_COUNT]
        kept_session = words[at + SESSION_COUNT]
        kept_history = words[at + HISTORY_COUNT]
        if not (kept_seen >= 0 and 0 <= kept_session <= session and 0 <= kept_history <= history):
            bad[b] = True
            continue
        head = HEADER + min(kept_seen, seen)
        session_words = kept_session * SESSION_SLOT
        history_words = kept_history * HISTORY_SLOT
        if stop - at != head + session_words + history_words:
            bad[b] = True
            continue
        states[b, :head] = words[at : at + head]
        states[b, session_at : session_at + session_words] = words[at + head : at + head + session_words]
        states[b, history_at : history_at + history_words] = words[stop - history_words : stop]
