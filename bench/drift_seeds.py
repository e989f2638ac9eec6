"""Several shops, one for each seed, as one: mean figures and mean curves, with each seed's own beside them."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.drift_curve import Curve


def mean_curve(curves: Sequence[Curve], *, every: int) -> Curve:
    """The mean of curves of equal length; each is read at the multiples of `every` events that it covers, along
    straight lines between its probes, since a probe comes after the view that passes the mark.

    >>> one = Curve([100, 210], [0.1, 0.2], [0.1, 0.1], [0.3, 0.3], [0.0, 0.0])
    >>> mean_curve([one, one], every=100).events
    [100, 200]
    """
    marks = np.arange(1, min(len(curve.events) for curve in curves) + 1) * every
    made = Curve(events=marks.tolist())
    for part in ("changed", "untouched", "best", "clicks"):
        read = [np.interp(marks, curve.events, getattr(curve, part)) for curve in curves]
        setattr(made, part, np.mean(read, axis=0).tolist())
    return made


def mean_rows(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The mean of each figure; None where it is None in any row: what one seed never reached has no mean.

    >>> mean_rows([{"a": 1.0, "b": None}, {"a": 3.0, "b": 2.0}])
    {'a': 2.0, 'b': None}
    """
    made: dict[str, float | None] = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name]) is not None]
        made[name] = float(np.mean(values)) if len(values) == len(rows) else None
    return made
