"""A recommendation: what is published for a user, and enough beside it to check where it came from."""

from typing import Annotated, Any, TypeAlias

import xxhash
from msgspec import DecodeError, Meta, Struct, ValidationError
from msgspec.json import Decoder, Encoder

from events.explain import explain, unparsable
from events.ids import UserId
from events.types import Id, ItemKey, Place, User

Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Version: TypeAlias = Annotated[int, Meta(ge=0)]


class RecommendedItem(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One slot of the slate. `propensity` is the probability that the policy put this item into this slot."""

    item_id: ItemKey
    item_name: str | None = None
    score: float
    slot: Place
    propensity: Probability
    reason: str = ""
    sources: tuple[str, ...] = ()


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The arm that made the slate and the probability that it was chosen in this context."""

    arm: str
    arm_propensity: Probability
    context: int = 0
    explored: bool = False


class Recommendation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A slate for a user. `seen_offsets` maps "topic-partition" to the last input offset that it knows of;
    `fresh_ms` is the time from the arrival of the event that caused it to its making; `degraded` says which
    cheaper way served it under overload ("" is none)."""

    rec_id: Id
    user_id: User
    made_at: Annotated[int, Meta(ge=0, description="epoch milliseconds")]
    items: tuple[RecommendedItem, ...]
    policy: Policy
    model_version: Version
    index_version: Version
    seen_offsets: dict[str, int]
    fresh_ms: float
    degraded: str = ""


_encoder = Encoder()
_decoder = Decoder(Recommendation)
_any = Decoder()


def encode_recommendation(recommendation: Recommendation) -> bytes:
    """The JSON of the record on the recommendations topic."""
    return _encoder.encode(recommendation)


def decode_recommendation(raw: bytes) -> Recommendation:
    """The recommendation in a record of the recommendations topic; BadEvent when it is none."""
    try:
        return _decoder.decode(raw)
    except ValidationError as error:
        fields = _any_value(raw)
        raise explain(error, fields) from error
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unparsable(error, raw) from error


def rec_id_of(
    user_id: UserId, *, seen_offsets: dict[str, int], model_version: int, index_version: int
) -> str:
    """32 hexadecimal digits determined by the user, the input offsets and the versions, so that a redelivered
    event repeats its recommendation's id. The order of `seen_offsets` does not matter.

    >>> rec_id_of(UserId("u"), seen_offsets={"clicks-0": 7}, model_version=1, index_version=2)
    '0aa6409852e9793f550c3bbdd9fb519b'
    """
    offsets = ",".join(f"{place}:{offset}" for place, offset in sorted(seen_offsets.items()))
    identity = f"{model_version}\n{index_version}\n{offsets}\n{user_id}"
    return xxhash.xxh3_128_hexdigest(identity.encode())


def _any_value(raw: bytes) -> Any:
    try:
        return _any.decode(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unparsable(error, raw) from error
