"""The published contract equals the types, is valid, and agrees with the codec."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import decode, decode_item, encode, encode_envelope
from events.errors import BadEvent, Reason
from events.examples import EVENTS, ITEM, RECOMMENDATION
from events.recommendation import encode_recommendation
from events.schema import PUBLIC_TOPICS, documents, topic_schema, write
from events.topics import TOPIC_OF, USER_TOPICS, Topic, events_on
from events.types import STRUCT_OF
from tests.events.strategies import NOW_MS, catalogue_items, recommendations, user_events
from tests.events.test_codec import click
from tests.events.test_codec_rejects import SINGLE_EVENTS

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema"
ASYNCAPI_3 = Path(__file__).parent / "asyncapi" / "3.0.0.json"
BY_SCHEMA_TOO = {
    Reason.MISSING_FIELD,
    Reason.WRONG_TYPE,
    Reason.NO_ITEMS,
    Reason.TOO_MANY_ITEMS,
    Reason.BAD_ID,
}
BY_SCHEMA_TOO |= {Reason.BAD_NUMBER, Reason.UNKNOWN_EVENT, Reason.WRONG_TOPIC}


@cache
def validator(topic: Topic) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(topic_schema(topic))


@cache
def asyncapi() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(documents()["asyncapi.json"])
    return found


def valid(raw: bytes, *, topic: Topic) -> bool:
    return bool(validator(topic).is_valid(json.loads(raw)))


def test_the_published_files_are_the_generated_ones() -> None:
    published = {path.name: path.read_text(encoding="utf-8") for path in PUBLISHED.iterdir()}
    assert published == documents(), "write them anew with events.schema.write"


def test_writing_makes_the_folder_and_can_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        paths = write(tmp_path / "deep" / "schema")
        assert {path.name: path.read_text(encoding="utf-8") for path in paths} == documents()


@pytest.mark.parametrize("topic", PUBLIC_TOPICS)
def test_each_schema_is_a_valid_json_schema(topic: Topic) -> None:
    jsonschema.Draft202012Validator.check_schema(topic_schema(topic))


def test_the_asyncapi_document_is_valid() -> None:
    rules = jsonschema.Draft7Validator(json.loads(ASYNCAPI_3.read_text(encoding="utf-8")))
    assert [error.message for error in rules.iter_errors(asyncapi())] == []
    broken = asyncapi() | {"operations": {"x": {"action": "listen"}}}
    assert not rules.is_valid(broken)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, list):
            return [found for part in node for found in references(part)]
        if not isinstance(node, dict):
            return []
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for part in node.values() for found in references(part)]

    found = references(asyncapi())
    assert len(found) > 30
    for reference in found:
        node: Any = asyncapi()
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_asyncapi_document_has_every_public_topic_and_event() -> None:
    assert set(asyncapi()["channels"]) == set(PUBLIC_TOPICS)
    assert {struct.__name__ for struct in STRUCT_OF.values()} <= set(asyncapi()["components"]["schemas"])
    sent = [name for name, operation in asyncapi()["operations"].items() if operation["action"] == "send"]
    assert sent == ["send-recommendations"]


def test_the_examples_of_the_asyncapi_document_validate() -> None:
    shown = 0
    for topic in PUBLIC_TOPICS:
        for example in asyncapi()["components"]["messages"][topic]["examples"]:
            validator(topic).validate(example["payload"])
            shown += 1
    assert shown == len(EVENTS) + 2


@pytest.mark.parametrize("name", sorted(EVENTS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_encoded_event_validates_on_its_topic_and_no_other(name: str, data: st.DataObject) -> None:
    event = data.draw(user_events(name))
    for raw in (encode(event), encode_envelope([event, EVENTS[name]])):
        for topic in PUBLIC_TOPICS:
            assert valid(raw, topic=topic) is (topic is TOPIC_OF[name])


@settings(max_examples=40, deadline=None)
@given(item=catalogue_items, recommendation=recommendations)
def test_every_encoded_item_and_recommendation_validates(item: Any, recommendation: Any) -> None:
    validator(Topic.ITEMS).validate(json.loads(encode(item)))
    validator(Topic.RECOMMENDATIONS).validate(json.loads(encode_recommendation(recommendation)))


@pytest.mark.parametrize(
    ("path", "fields"), [(path, fields) for reason, path, fields in SINGLE_EVENTS if reason in BY_SCHEMA_TOO]
)
def test_what_the_codec_sets_aside_for_a_field_does_not_validate(path: str, fields: dict[str, Any]) -> None:
    assert not validator(Topic.CLICKS).is_valid(fields), path
    assert not validator(Topic.CLICKS).is_valid({"events": [click(), fields]}), path


def mangled(record: dict[str, Any], *, data: st.DataObject) -> dict[str, Any]:
    """The record with one field, at the top or in the first item, taken away or given another type."""
    fields: dict[str, Any] = json.loads(json.dumps(record))
    holder = fields
    if "items" in fields and data.draw(st.booleans()):
        holder = fields["items"][0]
    name = data.draw(st.sampled_from(sorted(holder)))
    if data.draw(st.booleans()):
        del holder[name]
    else:
        holder[name] = data.draw(st.sampled_from([None, True, 3, -3, 2.5, "x", "", [], [1], {}, {"a": 1}]))
    return fields


def accepted(fields: dict[str, Any], *, topic: Topic) -> Reason | None:
    """Why the codec refuses the record; None when it does not."""
    raw = msgspec.json.encode(fields)
    if topic in USER_TOPICS:
        rejects = decode(raw, topic=topic, now_ms=NOW_MS).rejects
        return rejects[0].error.reason if rejects else None
    try:
        decode_item(raw, now_ms=NOW_MS)
    except BadEvent as error:
        return error.reason
    return None


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_codec_and_schema_agree_on_every_mangled_field(data: st.DataObject) -> None:
    """They differ only where JSON Schema cannot say what the codec checks: what a text means as a time."""
    name = data.draw(st.sampled_from(sorted(TOPIC_OF)))
    topic = TOPIC_OF[name]
    record = ITEM if name == "item" else EVENTS[name]
    fields = mangled(json.loads(encode(record)), data=data)
    reason = accepted(fields, topic=topic)
    if reason is Reason.BAD_TIME:
        return
    assert validator(topic).is_valid(fields) is (reason is None), (fields, reason)


def test_only_public_topics_have_a_schema() -> None:
    with pytest.raises(ValueError, match="got adapters"):
        topic_schema(Topic.ADAPTERS)


def test_the_recommendation_example_validates_where_it_is_published() -> None:
    assert valid(encode_recommendation(RECOMMENDATION), topic=Topic.RECOMMENDATIONS)
    assert [name for topic in USER_TOPICS for name in events_on(topic)] == sorted(
        EVENTS, key=list(TOPIC_OF).index
    )
