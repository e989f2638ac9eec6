"""The kernels behind `Traces`: which ring slots an interaction takes, how evicted rows leave the rings."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from events.columns import Kind

_CLICK, _CART, _PURCHASE = int(Kind.CLICK), int(Kind.CART), int(Kind.PURCHASE)

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@njit(nogil=True, cache=True)
def session_row(serial: int, last_serial: int, sessions: int) -> int:
    """The row of a session serial, or 0 where it is empty or its row has been taken by a newer session.

    `sessions` is S. For kernels that read `Traces.item_sessions`.
    """
    if serial <= 0 or serial <= last_serial - (sessions - 1):
        return 0
    return (serial - 1) % (sessions - 1) + 1


@njit(nogil=True, cache=True)
def place_rows(
    start: int,
    users: I32,
    items: I32,
    kinds: I8,
    times_ms: I64,
    session_ids: I64,
    out_sessions: I32,
    out_session_at: I64,
    out_user_at: I64,
    gap_ms: int,
    session_items: I32,
    session_times: I64,
    session_kinds: I8,
    session_count: I64,
    session_user: I32,
    session_last_ms: I64,
    last_serial: I64,
    user_items: I32,
    user_times: I64,
    user_kinds: I8,
    user_count: I64,
    user_session: I32,
    user_last_ms: I64,
    user_session_id: I64,
    item_sessions: I64,
    item_session_count: I64,
    item_users: I32,
    item_user_count: I64,
    item_count: I64,
    item_first_ms: I64,
    session_fresh: I64,
    user_fresh: I64,
) -> int:
    """Place rows `start`… until one would overwrite what an earlier one may look back at; returns where.

    `session_fresh` (S,) and `user_fresh` (U,) are zeros on entry and on return: rows placed by this call.
    """
    sessions, length = session_items.shape
    kept = user_items.shape[1]
    stop = len(users)
    for e in range(start, len(users)):
        user, item, kind, now = users[e], items[e], kinds[e], times_ms[e]
        if user <= 0 or item <= 0:
            continue
        given = session_ids[e]
        row = user_session[user]
        if row != 0 and (
            now - user_last_ms[user] > gap_ms
            or (given != 0 and user_session_id[user] != 0 and given != user_session_id[user])
        ):
            row = 0
        if kind != _CLICK and kind != _CART and kind != _PURCHASE:
            if item_first_ms[item] == 0 or now < item_first_ms[item]:
                item_first_ms[item] = now
            out_sessions[e] = row
            out_session_at[e] = session_count[row]
            out_user_at[e] = user_count[user]
            session_fresh[row] += 1
            continue
        starts = row == 0
        if starts:
            row = last_serial[0] % (sessions - 1) + 1
        # A reclaimed row must hold nothing that this call placed; a kept one must have room left.
        if (session_fresh[row] > 0 if starts else session_fresh[row] >= length // 2) or (
            user_fresh[user] >= kept // 2
        ):
            stop = e
            break
        if starts:
            last_serial[0] += 1
            owner = session_user[row]
            if owner != 0 and user_session[owner] == row:
                user_session[owner] = 0
            session_items[row, :] = 0
            session_times[row, :] = 0
            session_kinds[row, :] = 0
            session_count[row] = 0
            session_user[row] = user
            session_last_ms[row] = now
            user_session[user] = row
            user_session_id[user] = given
        elif given != 0:
            user_session_id[user] = given
        if now > user_last_ms[user] or user_last_ms[user] - now > gap_ms:
            user_last_ms[user] = now
        session_last_ms[row] = max(session_last_ms[row], now)

        at = session_count[row]
        out_sessions[e] = row
        out_session_at[e] = at
        session_items[row, at % length] = item
        session_times[row, at % length] = now
        session_kinds[row, at % length] = kind
        session_count[row] = at + 1
        session_fresh[row] += 1

        at = user_count[user]
        out_user_at[e] = at
        user_items[user, at % kept] = item
        user_times[user, at % kept] = now
        user_kinds[user, at % kept] = kind
        user_count[user] = at + 1
        user_fresh[user] += 1

        item_count[item] += 1
        if item_first_ms[item] == 0 or now < item_first_ms[item]:
            item_first_ms[item] = now
        # The serial of the session in this row, whichever of the rows' rounds it is from.
        serial = last_serial[0] - (last_serial[0] - row) % (sessions - 1)
        ring = item_sessions.shape[1]
        at = item_session_count[item]
        if at == 0 or item_sessions[item, (at - 1) % ring] != serial:
            item_sessions[item, at % ring] = serial
            item_session_count[item] = at + 1
        ring = item_users.shape[1]
        at = item_user_count[item]
        if at == 0 or item_users[item, (at - 1) % ring] != user:
            item_users[item, at % ring] = user
            item_user_count[item] = at + 1
    for e in range(start, stop):
        session_fresh[out_sessions[e]] = 0
        user_fresh[max(users[e], 0)] = 0
    return stop


@njit(nogil=True, cache=True)
def blank_items(gone: NDArray[np.bool_], ring_items: I32, ring_times: I64, ring_kinds: I8) -> None:
    """Zero the slots of (rows, length) rings whose item is in `gone` (N,)."""
    for row in range(ring_items.shape[0]):
        for at in range(ring_items.shape[1]):
            if gone[ring_items[row, at]]:
                ring_items[row, at] = 0
                ring_times[row, at] = 0
                ring_kinds[row, at] = 0


@njit(nogil=True, cache=True)
def blank_users(gone: NDArray[np.bool_], item_users: I32) -> None:
    """Zero the slots of `item_users` (N, V) whose user is in `gone` (U,)."""
    for item in range(item_users.shape[0]):
        for at in range(item_users.shape[1]):
            if gone[item_users[item, at]]:
                item_users[item, at] = 0
