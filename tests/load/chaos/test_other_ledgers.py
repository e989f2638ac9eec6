"""The ledgers of dead letters, item vectors and adapters."""

from events.codec import encode
from events.ids import ItemId
from events.item_vector import ItemVector, encode_item_vector
from events.types import CatalogueItem
from load.chaos.findings import Place, Verdict, Wrong, together
from load.chaos.other_ledgers import letters_verdict, vectors_verdict, weights_verdict
from load.chaos.raw_log import RawRecord
from load.chaos.source_log import read_source

BROKEN = RawRecord("clicks", 1, 7, 0, b"ann", b"{not json")
_FIRST_MS = 1_300_000_000_000
PLACE = Place("adapters", 0, 3)


def letter(value: bytes | None, *, offset: int = 7) -> RawRecord:
    headers = {
        "hw-source-topic": b"x-clicks",
        "hw-source-partition": b"1",
        "hw-source-offset": b"%d" % offset,
    }
    return RawRecord("dead-letters", 0, 0, 0, b"ann", value, tuple(headers.items()))


def item(offset: int, name: str, *, price: float = 2.0) -> RawRecord:
    described = CatalogueItem(item_id=ItemId("mug"), item_name=name, price=price, occurred_at=_FIRST_MS)
    return RawRecord("items", 0, offset, 9, b"mug", encode(described))


def vector(offset: int, title: str, *, price: float = 2.0, raw: bytes = b"\0\0") -> RawRecord:
    made = ItemVector(
        item_id=ItemId("mug"), title=title, vector=raw, encoder="e", price=price, first_ms=_FIRST_MS
    )
    return RawRecord("item-vectors", 0, offset, 9, b"mug", encode_item_vector(made))


def test_broken_record_belongs_in_the_dead_letters_with_its_bytes() -> None:
    log = read_source([BROKEN])
    assert letters_verdict(log, [letter(BROKEN.value), letter(BROKEN.value)], prefix="x-").clean
    assert letters_verdict(log, [], prefix="x-").count(Wrong.LOST) == 1
    assert letters_verdict(log, [letter(b"other")], prefix="x-").count(Wrong.DIVERGED) == 1
    good = [letter(BROKEN.value), letter(b"good", offset=8)]
    assert letters_verdict(log, good, prefix="x-").count(Wrong.LOST) == 1


def test_last_vector_is_that_of_the_last_description() -> None:
    items = [item(0, "Mug"), item(1, "Blue mug")]
    assert vectors_verdict(items, [vector(0, "Mug"), vector(1, "Blue mug")]).clean
    assert vectors_verdict(items, [vector(0, "Blue mug"), vector(1, "Mug")]).count(Wrong.LOST) == 1
    assert vectors_verdict(items, [vector(0, "Blue mug", price=3.0)]).count(Wrong.LOST) == 1
    assert vectors_verdict(items, []).count(Wrong.LOST) == 1
    assert vectors_verdict(items, [vector(0, "Blue mug", raw=b"")]).count(Wrong.DIVERGED) == 1
    assert (
        vectors_verdict(items, [RawRecord("item-vectors", 0, 0, 9, b"mug", b"?")]).count(Wrong.DIVERGED) == 1
    )


def test_adapter_is_the_undisturbed_runs_to_the_bit_however_often_it_comes() -> None:
    assert weights_verdict(
        [(PLACE, 1, "a"), (PLACE, 1, "a"), (PLACE, 2, "b")], {1: "a", 2: "b", 3: "c"}
    ).clean
    assert weights_verdict([(PLACE, 1, "a"), (PLACE, 1, "x")], {1: "a"}).count(Wrong.DIVERGED) == 1
    skipped = weights_verdict([(PLACE, 1, "a"), (PLACE, 3, "c")], {1: "a", 2: "b", 3: "c"})
    assert (skipped.clean, skipped.checked["adapter versions never published"]) == (True, 1)
    assert weights_verdict([(PLACE, 9, "a")], {1: "a"}).count(Wrong.DIVERGED) == 1


def test_verdicts_add_up_and_name_the_lowest_offset_first() -> None:
    one = letters_verdict(read_source([BROKEN]), [])
    two = weights_verdict([(PLACE, 9, "a")], {})
    both = together([two, one, Verdict()])
    assert both.line() == "lost / duplicated / diverged = 1 / 0 / 1"
    assert both.first is not None
    assert both.first.place == PLACE
    assert "adapter 9" in str(both.first)
