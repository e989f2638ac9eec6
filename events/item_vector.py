"""The record on `item-vectors`: what every recommender needs to know of an item, text already encoded."""

import numpy as np
from msgspec import DecodeError, Struct, ValidationError, msgpack

from events.errors import BadEvent, Reason
from events.ids import ItemId
from events.limits import MAX_MONEY
from events.rules import id_error


class ItemVector(Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """One catalogue item as the encoder publishes it (msgpack); a tombstone has no value."""

    item_id: ItemId
    title: str
    vector: bytes  # D little-endian float16 of unit length; empty where the item has no text
    encoder: str  # the model that made the vector: vectors of two models are never compared
    price: float = 0.0  # 0 where unknown
    available: bool = True
    category: str = ""
    brand: str = ""
    consumable: bool = False
    first_ms: int = 0  # when the catalogue record arrived; 0 where unknown


_decoder = msgpack.Decoder(ItemVector)
_encoder = msgpack.Encoder()


def encode_item_vector(item: ItemVector) -> bytes:
    return _encoder.encode(item)


def decode_item_vector(raw: bytes) -> ItemVector:
    """The item; BadEvent when the bytes are not what `encode_item_vector` wrote."""
    try:
        item = _decoder.decode(raw)
    except (DecodeError, ValidationError, RecursionError) as error:
        raise BadEvent(
            Reason.WRONG_TYPE, received=repr(raw[:40]), expected="an ItemVector record in msgpack"
        ) from error
    problem = id_error(item.item_id, path="$.item_id")
    if problem is not None:
        raise problem
    whole = len(item.vector) % 2 == 0 and bool(np.isfinite(np.frombuffer(item.vector, "<f2")).all())
    if not whole or not 0 <= item.price <= MAX_MONEY:
        raise BadEvent(
            Reason.BAD_NUMBER,
            received=f"a vector of {len(item.vector)} bytes, price {item.price}",
            expected=f"finite float16 numbers, a price from 0 to {MAX_MONEY:.0f}",
        )
    return item
