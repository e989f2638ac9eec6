"""Headwater as it ships, and Headwater without one of its parts: what each name on the command line means."""

from dataclasses import dataclass

from bench.errors import BenchError
from index.sources.assembly import IN_USE, NAMES


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs from the product's settings; everything else is as configured, for every stream alike."""

    deep: bool = True  # the transformer learns, and serves while its gate says that it pays
    lora: bool = True  # its backbone adapts; else only what is around it learns
    full: bool = False  # every weight of the backbone learns, in place of an adapter on it
    gated: bool = True  # else the transformer serves whether or not it pays
    slate: bool = False  # the diversity layer makes the slate; else pure ranking
    without: str = ""  # a candidate source left out
    also: str = ""  # a candidate source added that is not in use by default


VARIANTS: dict[str, Variant] = {
    "headwater": Variant(),
    "headwater-slate": Variant(slate=True),
    "headwater-wide": Variant(deep=False),
    "headwater-frozen": Variant(lora=False),
    "headwater-full": Variant(full=True),
    "headwater-ungated": Variant(gated=False),
    "headwater-full-ungated": Variant(full=True, gated=False),
    **{f"headwater-no-{name.replace('_', '-')}": Variant(without=name) for name in IN_USE},
    **{
        f"headwater-with-{name.replace('_', '-')}": Variant(also=name) for name in NAMES if name not in IN_USE
    },
}


def variant_of(name: str) -> Variant:
    """The variant; BenchError where there is none of that name.

    >>> variant_of("headwater-no-own-history").without
    'own_history'
    """
    if name not in VARIANTS:
        raise BenchError(f"no variant is called {name!r}; there are {', '.join(VARIANTS)}")
    return VARIANTS[name]
