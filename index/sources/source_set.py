"""All candidate sources of a process as one: what it learns, and the candidates that it finds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from events.ids import ItemId, stable_hash
from index.errors import SnapshotError
from index.rows import Rows
from index.sources.array_folder import load_arrays, save_arrays
from index.sources.assembly import Shared, SourcesConfig, assemble
from index.sources.base import Limits, Query
from index.sources.catalogue import Catalogue
from index.sources.features import CandidateBuilder
from index.sources.footprint import footprint
from index.sources.influence import Influence
from index.sources.item_habits import ItemHabits
from index.sources.long_tail import LongTail
from index.sources.new_arrivals import NewArrivals
from index.sources.popularity import Popularity
from index.sources.ports import Learns, Stateful, VectorIndex
from index.sources.text_groups import TextGroups
from index.sources.text_neighbours import FREE, Lock, TextNeighbours
from index.sources.traces import Traces
from index.sources.union import Candidates

Proposals = tuple[NDArray[np.int32], NDArray[np.float32]]  # (B, n) item rows and scores, as `Source.propose`
CHUNK = 2048  # interactions learnt at once, fewer where rows are; what a chunk names isn't evicted within it


class SourceSet:
    """Owns the rows of items and users, the shared traces, the catalogue and every source.

    One writer: `learn`, `query` and `candidates` are called from one thread at a time. Learning a log gives
    the same state however it is cut into batches, as long as the rows suffice for its items and users.

    An evicted item is forgotten everywhere at once, `index` included, before its row stands for another.
    """

    def __init__(
        self, limits: Limits, *, index: VectorIndex, config: SourcesConfig | None = None, dim: int = 384
    ) -> None:
        self.limits = limits
        self.config = config or SourcesConfig()
        self.items = Rows(limits.items)
        self.users = Rows(limits.users)
        self.catalogue = Catalogue(limits, dim=dim)
        self.traces = Traces(limits)
        proposed = {choice.name: choice.n for choice in self.config.sources}
        self.popularity = Popularity(limits, n=proposed.get("popularity", 100))
        self.habits = ItemHabits(limits)
        self.long_tail = LongTail(limits)
        self.text_groups = TextGroups(dim=dim)
        self.influence = Influence(self.config.influence)
        self._index = index
        over = Shared(limits, self.traces, self.catalogue, self.popularity, index.search)
        self.sources = assemble(self.config, over=over)
        self.names = tuple(choice.name for choice in self.config.sources)
        others = [source for source in self.sources if source is not self.popularity]
        self._learners: tuple[Learns, ...] = (self.popularity, self.habits, self.long_tail, *others)
        self._builder = CandidateBuilder(
            limits,
            config=self.config,
            catalogue=self.catalogue,
            popularity=self.popularity,
            habits=self.habits,
        )
        self.feature_names = self._builder.names

    def learn(self, interactions: Interactions, *, names: Mapping[int, str] | None = None) -> None:
        """Fold E interactions in, in log order.

        Clicks, carts and purchases count. Impressions say nothing of a taste here, and un-carts and refunds
        are taken off in the shopper's own state, which comes with the query: none of them is learnt.
        What is given here counts: `influence` says before which events may.
        `names` maps hashes to item ids, for items that no record has told of: those it lacks have no id.
        """
        kinds = interactions.kinds
        told = np.flatnonzero((kinds == Kind.CLICK) | (kinds == Kind.CART) | (kinds == Kind.PURCHASE))
        chunk = min(CHUNK, self.limits.items - 1, self.limits.users - 1)
        for start in range(0, len(told), chunk):
            self._learn(interactions, told[start : start + chunk], names or {})

    def upsert_item(
        self,
        item_id: ItemId,
        *,
        first_ms: int,
        title: str = "",
        price: float | None = None,
        available: bool = True,
        category: str | None = None,
        brand: str | None = None,
        consumable: bool = False,
    ) -> int:
        """Take a catalogue record; the item's row. ValueError as in `Catalogue.upsert`."""
        row = self._item_rows(np.array([stable_hash(item_id)]))[0]
        before = self.catalogue.first_ms[row]
        self.catalogue.upsert(
            int(row),
            item_id=item_id,
            first_ms=first_ms,
            title=title,
            price=price,
            available=available,
            category=category,
            brand=brand,
            consumable=consumable,
        )
        if self.catalogue.first_ms[row] != before:
            self._arrived(np.array([row], np.int32))
        return int(row)

    def remove_item(self, item_id: ItemId) -> None:
        """Take a tombstone: the item is no longer proposed, by whatever source. Unknown items are ignored."""
        row = self.items.lookup(np.array([stable_hash(item_id)]))
        if row[0] != 0:
            self.catalogue.remove(int(row[0]))
            self._index.remove(row)

    def set_vectors(self, hashes: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Take text vectors (R, D) of items (R,) by hash; zeros take an item's text away.

        The next `refresh` calls find their neighbours. ValueError as in `Catalogue.set_vectors`.
        """
        rows = self._item_rows(hashes)
        self.catalogue.set_vectors(rows, vectors)
        self.catalogue.topic[rows] = self.text_groups.join(self.catalogue.vectors[rows].astype(np.float32))
        with_text = self.catalogue.has_text[rows] & ~self.catalogue.removed[rows]
        self._index.remove(rows[~with_text])
        if with_text.any():
            self._index.upsert(rows[with_text], self.catalogue.vectors[rows[with_text]].astype(np.float32))
        for source in self.sources:
            if isinstance(source, TextNeighbours):
                source.arrived(rows)

    def refresh(self, *, limit: int = 64, lock: Lock = FREE) -> int:
        """Find the text neighbours of at most `limit` items; how many were done. For ticks. `lock`: as there."""
        return sum(s.refresh(limit=limit, lock=lock) for s in self.sources if isinstance(s, TextNeighbours))

    @property
    def unrefreshed(self) -> int:
        """Items whose text came lately and whose neighbours have not been found yet."""
        return sum(source.waiting for source in self.sources if isinstance(source, TextNeighbours))

    def query(
        self,
        users: NDArray[np.int64],
        *,
        now_ms: NDArray[np.int64],
        session: NDArray[np.int64],
        session_times_ms: NDArray[np.int64],
        session_kinds: NDArray[np.int8],
        history: NDArray[np.int64],
        history_last_ms: NDArray[np.int64],
        history_first_ms: NDArray[np.int64],
        history_views: NDArray[np.float32],
        history_purchases: NDArray[np.float32],
        history_decayed: NDArray[np.float32],
        remembered: int | None = None,
    ) -> Query:
        """The Query of B users from states that hold hashes: users (B,), session (B, L), history (B, T).

        The rest is as in Query. Ids without a row become 0 and are passed over. A session whose latest
        interaction is more than `limits.session_gap_ms` old is over, and reads as empty. Of the history only the
        `remembered` latest items count, None for all; the others are left aside.
        """
        over = now_ms - session_times_ms[:, :1].max(axis=1, initial=0) > self.limits.session_gap_ms  # (B,)
        items = self.items.lookup(history)
        counts = items.copy()
        if remembered is not None:
            counts[:, remembered:] = 0
        return Query(
            users=self.users.lookup(users),
            now_ms=np.ascontiguousarray(now_ms),  # kernels are compiled anew for another layout
            session=np.where(over[:, None], np.int32(0), self.items.lookup(session)),
            session_times_ms=session_times_ms,
            session_kinds=session_kinds,
            history=counts,
            left_aside=items - counts,
            history_last_ms=history_last_ms,
            history_first_ms=history_first_ms,
            history_views=history_views,
            history_purchases=history_purchases,
            history_decayed=history_decayed,
        )

    def candidates(self, query: Query) -> Candidates:
        """C candidates of each of B users, with the features that they are ranked by."""
        return self.unite(self.propose(query), query=query)

    def propose(self, query: Query) -> list[Proposals]:
        """What each source finds for B users, in the order of `names`."""
        return [source.propose(query) for source in self.sources]

    def unite(self, proposals: list[Proposals], *, query: Query, limit: int | None = None) -> Candidates:
        """The best C (at most `limit`) of the proposals for each of B users, with the features that they are
        ranked by."""
        return self._builder.build(proposals, query=query, limit=limit)

    def reason(self, bits: int) -> list[str]:
        """The names of the sources that proposed a candidate, from its entry in `Candidates.sources`."""
        return [name for at, name in enumerate(self.names) if bits >> at & 1]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays; item ids and titles come on top."""
        return footprint(self)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as arrays that the set does not share."""
        return {
            f"{part}.{name}": array
            for part, owner in self._parts().items()
            for name, array in owner.snapshot().items()
        }

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays, and fill the item index from them.

        SnapshotError when names, shapes or dtypes differ, after which the set is not to be used.
        """
        parts = self._parts()
        taken: dict[str, dict[str, NDArray[np.generic]]] = {part: {} for part in parts}
        for key, array in arrays.items():
            part, _, name = key.partition(".")
            if part not in taken:
                raise SnapshotError(f"snapshot holds {key!r}; expected parts {sorted(parts)}")
            taken[part][name] = array
        self._index.remove(np.flatnonzero(self.catalogue.has_text).astype(np.int32))
        for part, owner in parts.items():
            owner.restore(taken[part])
        rows = np.flatnonzero(self.catalogue.has_text & ~self.catalogue.removed).astype(np.int32)
        if len(rows):
            self._index.upsert(rows, self.catalogue.vectors[rows].astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write the snapshot to a folder, in place of the one it holds, atomically."""
        save_arrays(folder, self.snapshot())

    def load(self, folder: Path) -> None:
        """Take the snapshot in the folder; SnapshotError as in `restore`, or where it can't be read."""
        self.restore(load_arrays(folder))

    def _parts(self) -> dict[str, Stateful]:
        """What has state, in the order of restoring: sources may derive theirs from what stands before."""
        shared: dict[str, Stateful] = {
            "items": self.items,
            "users": self.users,
            "catalogue": self.catalogue,
            "traces": self.traces,
            "popularity": self.popularity,
            "habits": self.habits,
            "long_tail": self.long_tail,
            "text_groups": self.text_groups,
            "influence": self.influence,
        }
        return shared | {s.name: s for s in self.sources if s is not self.popularity}

    def _learn(self, log: Interactions, chunk: NDArray[np.int64], names: Mapping[int, str]) -> None:
        users, gone = self.users.assign(log.users[chunk])
        if len(gone):
            self.traces.evict_users(gone)
        hashes, times_ms = log.items[chunk], log.times_ms[chunk]
        items = self._item_rows(hashes)
        new = self.catalogue.seen(items, hashes=hashes, times_ms=times_ms)
        if len(new):
            self._arrived(new)
            for row in new.tolist():
                self.catalogue.name(row, item_id=names.get(int(self.catalogue.hashes[row]), ""))
        placed = self.traces.place(
            users,
            items=items,
            kinds=log.kinds[chunk],
            times_ms=times_ms,
            quantities=log.quantities[chunk],
            events=log.events[chunk],
            session_ids=log.sessions[chunk],
        )
        for batch in placed:
            for learner in self._learners:
                learner.learn(batch)

    def _item_rows(self, hashes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Rows of the hashes, new ones where they have none, after whatever had them is forgotten."""
        rows, gone = self.items.assign(hashes)
        if len(gone):
            self.traces.evict_items(gone)
            for learner in self._learners:
                learner.evict(gone)
            self.catalogue.evict(gone)
            self._index.remove(gone)
        return rows

    def _arrived(self, rows: NDArray[np.int32]) -> None:
        for source in (source for source in self.sources if isinstance(source, NewArrivals)):
            source.arrived(rows)
