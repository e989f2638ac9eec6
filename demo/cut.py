"""Cuts the demo's shipped data out of UCI Online Retail II; the attribution is in demo/data/README.md.

    python -m demo.cut STREAM.parquet ITEMS.parquet [--out demo/data]

Kept: purchases and returns of products by known customers. One basket (the rows of one customer, minute
and kind) holds each item once, its quantities added and its price averaged by quantity, in item order: the
source's line order follows the shop's catalogue and would leak it.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

EVENTS_FILE = "online_retail_ii.parquet"
ITEMS_FILE = "online_retail_ii_items.parquet"
KINDS = {"purchase": "purchase", "return": "refund"}


def cut_events(rows: pa.Table) -> pa.Table:
    """The shipped stream: ts (int64 ms), user, item, event (purchase | refund), qty (int32), price (float64).

    Sorted by ts, user, event, item. `qty` is the number of units and positive for refunds too.
    """
    kept = rows.filter(
        pc.and_(
            pc.and_(rows["is_product"], pc.is_valid(rows["user"])),
            pc.and_(pc.is_in(rows["event"], pa.array(list(KINDS))), pc.greater_equal(rows["price"], 0.0)),
        )
    )
    units = pc.abs(kept["qty"])
    lines = pa.table(
        {
            "ts": kept["ts"],
            "user": kept["user"].cast(pa.string()),
            "event": pc.if_else(pc.equal(kept["event"], "return"), KINDS["return"], KINDS["purchase"]).cast(
                pa.string()
            ),
            "item": kept["item"].cast(pa.string()),
            "qty": units,
            "value": pc.multiply(kept["price"], units.cast(pa.float64())),
        }
    ).filter(pc.greater(units, 0))
    keys = ["ts", "user", "event", "item"]
    baskets = lines.group_by(keys).aggregate([("qty", "sum"), ("value", "sum")])
    price = pc.round(pc.divide(baskets["value_sum"], baskets["qty_sum"].cast(pa.float64())), 2)
    return pa.table(
        {
            "ts": baskets["ts"],
            "user": baskets["user"],
            "item": baskets["item"],
            "event": baskets["event"],
            "qty": baskets["qty_sum"].cast(pa.int32()),
            "price": price,
        }
    ).sort_by([(key, "ascending") for key in keys])


def cut_items(items: pa.Table, events: pa.Table) -> pa.Table:
    """The shipped catalogue: item, text, price (float64, median), first_ts (int64 ms), by first_ts.

    Holds the items of `events` only. `first_ts` is when the shop first sold the item, to guests too.
    """
    sold = items.filter(pc.is_in(items["item"].cast(pa.string()), pc.unique(events["item"])))
    return pa.table(
        {
            "item": sold["item"].cast(pa.string()),
            "text": sold["text"].cast(pa.string()),
            "price": pc.round(sold["median_price"], 2),
            "first_ts": sold["first_ts"],
        }
    ).sort_by([("first_ts", "ascending"), ("item", "ascending")])


def write(table: pa.Table, path: Path) -> None:
    """Writes `table` as dictionary-encoded zstd parquet in row groups small enough to stream."""
    pq.write_table(
        table, path, compression="zstd", compression_level=19, row_group_size=131_072, use_dictionary=True
    )


def main() -> None:
    """Cuts the two files and prints what they hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stream", type=Path, help="uci_online_retail_ii.parquet")
    parser.add_argument("items", type=Path, help="uci_online_retail_ii_items.parquet")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    arguments = parser.parse_args()
    events = cut_events(pq.read_table(arguments.stream))
    items = cut_items(pq.read_table(arguments.items), events)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in ((EVENTS_FILE, events), (ITEMS_FILE, items)):
        write(table, arguments.out / name)
        print(f"{name}: {table.num_rows:,} rows, {(arguments.out / name).stat().st_size:,} bytes")
    baskets = events.group_by(["ts", "user", "event"]).aggregate([])
    for kind in KINDS.values():
        print(f"{kind}: {pc.sum(pc.equal(baskets['event'], kind)).as_py():,} events, ", end="")
        print(f"{pc.sum(pc.equal(events['event'], kind)).as_py():,} rows")
    print(f"users {pc.count_distinct(events['user']).as_py():,}, items {items.num_rows:,}")


if __name__ == "__main__":
    main()
