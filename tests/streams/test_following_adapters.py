"""What a worker takes as an adapter to serve with, and what it refuses."""

import hashlib
import json
import logging
import struct
from collections.abc import Callable

import numpy as np
import pytest

from models import adapters
from models.errors import AdapterError, Refusal
from models.probe import Probe
from models.state import Arrays
from streams.adapter_topic import PIN_KEY, SERVING_HEADER
from streams.log_reader import LogRecord
from streams.serving_model import ServingModel
from tests.streams.recommenders import NOW_MS, Shop, make_shop

pytestmark = pytest.mark.usefixtures("compiled")


def adapter(shop: Shop, *, version: int) -> LogRecord:
    bandit = shop.model.recommender.bandit.state()
    serving = json.dumps({"version": version, "deep_pays": False, "bandit": bandit}).encode()
    weights = adapters.pack(shop.model.recommender.ranker, version=str(version))
    return LogRecord("adapters", 0, version, NOW_MS, b"ranker", weights, ((SERVING_HEADER, serving),))


def test_adapter_serves_from_its_record_on() -> None:
    shop = make_shop()
    assert (shop.model.version, shop.model.recommender.trained) == (0, False)
    shop.following.handle([adapter(shop, version=3)])
    assert (shop.model.version, shop.model.recommender.trained) == (3, True)
    assert shop.value("headwater_model_version") == 3


def test_how_many_of_a_shoppers_items_count_comes_with_the_adapter() -> None:
    shop = make_shop()
    for version, told in enumerate((4, None, 7), start=1):
        record = adapter(shop, version=version)
        serving = json.loads(dict(record.headers)[SERVING_HEADER] or b"") | {"remembered": told}
        shop.following.handle([record._replace(headers=((SERVING_HEADER, json.dumps(serving).encode()),))])
        assert (shop.model.version, shop.model.recommender.remembered) == (version, told)
    shop.following.handle([adapter(shop, version=4)])  # of a learner that knew nothing of it
    assert (shop.model.version, shop.model.recommender.remembered) == (4, None)


def test_damaged_adapters_change_nothing() -> None:
    shop = make_shop()
    good = adapter(shop, version=3)
    assert good.value is not None
    shop.following.handle([good])
    before = {name: a.tobytes() for name, a in shop.model.recommender.ranker.snapshot().items()}
    for damaged in (
        good._replace(value=good.value[:-7]),
        good._replace(value=b""),
        good._replace(value=None),
        good._replace(headers=()),
        good._replace(headers=((SERVING_HEADER, b"{"),)),
    ):
        shop.following.handle([damaged])
        assert {n: a.tobytes() for n, a in shop.model.recommender.ranker.snapshot().items()} == before
        assert shop.model.version == 3


def with_arrays(shop: Shop, change: Callable[[Arrays], None]) -> LogRecord:
    """A whole record, checksum and all, of weights that were changed."""
    good = adapter(shop, version=4)
    arrays = shop.model.recommender.ranker.snapshot()
    change(arrays)
    return good._replace(value=adapters.pack(shop.model.recommender.ranker, version="4", weights=arrays))


def set_nan(arrays: Arrays) -> None:
    arrays["wide.mean0.weight"] = np.full_like(arrays["wide.mean0.weight"], np.nan)


def set_infinite(arrays: Arrays) -> None:
    arrays["wide.scaler.variance"] = np.full_like(arrays["wide.scaler.variance"], np.inf)


def cut_short(arrays: Arrays) -> None:
    arrays["wide.layer0.weight"] = arrays["wide.layer0.weight"][:-1].copy()


def other_type(arrays: Arrays) -> None:
    arrays["wide.layer0.bias"] = arrays["wide.layer0.bias"].astype(np.float64)


def leave_out(arrays: Arrays) -> None:
    del arrays["wide.layer1.bias"]


def overflow(arrays: Arrays) -> None:
    """Finite weights whose scores are not."""
    for name in ("wide.mean0.weight", "wide.mean1.weight", "wide.mean2.weight"):
        arrays[name] = np.full_like(arrays[name], 3e38)


def bomb(arrays: Arrays) -> None:
    """80 MB of zeros in a few kB."""
    arrays["wide.more"] = np.zeros(10_000_000, np.float64)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_nan, "not-finite"),
        (set_infinite, "not-finite"),
        (cut_short, "wrong-shape"),
        (other_type, "wrong-shape"),
        (leave_out, "wrong-shape"),
        (overflow, "not-finite"),
        (bomb, "too-large"),
    ],
)
def test_adapter_whose_weights_are_wrong_never_serves(
    change: Callable[[Arrays], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop()
    check_refused(shop, with_arrays(shop, change), reason=reason, caplog=caplog)


def test_adapter_larger_than_a_record_may_be_is_refused_unread(caplog: pytest.LogCaptureFixture) -> None:
    shop = make_shop()
    good = adapter(shop, version=4)
    large = good._replace(value=(good.value or b"") + b"\0" * adapters.RECORD_LIMIT)
    check_refused(shop, large, reason="too-large", caplog=caplog)


@pytest.mark.parametrize("length", [0, 1, 39, 40, 41, 1000, 100_000])
def test_random_bytes_are_no_adapter(length: int, caplog: pytest.LogCaptureFixture) -> None:
    shop = make_shop()
    junk = np.random.default_rng(length).bytes(length)
    for value in (junk, b"HWAD" + junk, sealed(junk)):
        check_refused(shop, adapter(shop, version=4)._replace(value=value), reason="damaged", caplog=caplog)


def sealed(rest: bytes, *, header_length: int = 7) -> bytes:
    """Bytes with a right checksum, as somebody who knows the format would send them."""
    head = struct.pack(">4s32sI", b"HWAD", hashlib.sha256(rest).digest(), header_length)
    return head + rest


@pytest.mark.parametrize(
    "header", [b"[]", b"7", b"{}", b"[" * 50_000, b'{"format": 1, "version": 1}', b"\xff"]
)
def test_header_that_is_nothing_of_the_kind_is_refused(
    header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop()
    value = sealed(header + b"tail", header_length=len(header))
    check_refused(shop, adapter(shop, version=4)._replace(value=value), reason="damaged", caplog=caplog)


@pytest.mark.parametrize(
    "serving",
    [
        b"[]",
        b"[" * 50_000,
        b'{"version": Infinity, "deep_pays": true, "bandit": {}}',
        b'{"version": 4, "deep_pays": true, "bandit": []}',
        b'{"version": 4, "deep_pays": true, "bandit": {"alpha": NaN}}',
        b'{"version": 4, "deep_pays": true, "bandit": {}, "remembered": 0}',
        b'{"version": 4, "deep_pays": true, "bandit": {}, "remembered": "few"}',
        b'{"version": 4, "deep_pays": true, "bandit": {}, "remembered": Infinity}',
    ],
)
def test_record_whose_header_for_serving_is_junk_is_refused(
    serving: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop()
    junk = adapter(shop, version=4)._replace(headers=((SERVING_HEADER, serving),))
    check_refused(shop, junk, reason="damaged", caplog=caplog)


def check_refused(shop: Shop, record: LogRecord, *, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """The last good one serves on, the log says why, and a metric counts it."""
    shop.following.handle([adapter(shop, version=3)])
    before = {name: a.tobytes() for name, a in shop.model.recommender.ranker.snapshot().items()}
    counted = shop.value("headwater_adapters_refused_total", reason=reason)
    with caplog.at_level(logging.ERROR):
        shop.following.handle([record])
    assert {n: a.tobytes() for n, a in shop.model.recommender.ranker.snapshot().items()} == before
    assert (shop.model.version, shop.value("headwater_model_version")) == (3, 3)
    assert shop.value("headwater_adapters_refused_total", reason=reason) == counted + 1
    assert "the last one serves on" in caplog.records[-1].getMessage()


def test_adapter_that_scores_too_slowly_does_not_serve() -> None:
    shop = make_shop()
    recommender, index = shop.model.recommender, shop.model._index
    probe = Probe(recommender.ranker, candidates=8, limit_ms=1e-6)
    slow = ServingModel(recommender, index=index, probe=probe)
    with pytest.raises(AdapterError, match="are allowed") as refused:
        slow.apply(adapter(shop, version=3))
    assert (refused.value.refusal, slow.version) == (Refusal.SLOW, 0)
    patient = ServingModel(
        recommender, index=index, probe=Probe(recommender.ranker, candidates=8, limit_ms=0)
    )
    assert patient.apply(adapter(shop, version=3)) == 3


def test_pinned_adapter_serves_whatever_comes_until_it_is_released() -> None:
    shop = make_shop()
    one, two, three = (adapter(shop, version=version) for version in (1, 2, 3))
    shop.following.handle([one, two])
    shop.following.handle([one._replace(key=PIN_KEY)])
    assert (shop.model.version, shop.value("headwater_adapter_pinned")) == (1, 1)
    shop.following.handle([three])
    assert (shop.model.version, shop.value("headwater_model_version")) == (1, 1)
    shop.following.handle([one._replace(key=PIN_KEY, value=None)])
    assert (shop.model.version, shop.value("headwater_adapter_pinned")) == (3, 0)
    shop.following.handle([two])
    assert shop.model.version == 2


def test_a_passing_response_to_drift_is_not_pinned_with_its_adapter() -> None:
    shop = make_shop()
    one, two = (adapter(shop, version=version) for version in (1, 2))
    serving = json.loads(dict(one.headers)[SERVING_HEADER] or b"")
    serving["remembered"], serving["bandit"]["exploration"] = 4, 20.0
    one = one._replace(headers=((SERVING_HEADER, json.dumps(serving).encode()),))
    shop.following.handle([one])
    assert (shop.model.recommender.remembered, shop.model.recommender.bandit.exploration) == (4, 20.0)
    shop.following.handle([one._replace(key=PIN_KEY)])
    assert (shop.model.recommender.remembered, shop.model.recommender.bandit.exploration) == (None, 1.0)
    shop.following.handle([two])
    assert (shop.model.version, shop.model.recommender.remembered) == (1, None)


def test_release_to_a_damaged_adapter_is_a_release() -> None:
    shop = make_shop()
    one, two, three = (adapter(shop, version=version) for version in (1, 2, 3))
    shop.following.handle([one, one._replace(key=PIN_KEY), two._replace(value=b"junk")])
    assert shop.value("headwater_adapter_pinned") == 1
    shop.following.handle([one._replace(key=PIN_KEY, value=None)])
    assert (shop.model.version, shop.value("headwater_adapter_pinned")) == (1, 0)
    shop.following.handle([three])
    assert (shop.model.version, shop.value("headwater_adapter_pinned")) == (3, 0)


def test_damaged_pointer_pins_nothing() -> None:
    shop = make_shop()
    one, two = (adapter(shop, version=version) for version in (1, 2))
    shop.following.handle([one, one._replace(key=PIN_KEY, value=b"junk")])
    assert shop.value("headwater_adapter_pinned") == 0
    shop.following.handle([two])
    assert shop.model.version == 2
