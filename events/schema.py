"""The published contract, generated from the types: an AsyncAPI 3 document and a JSON Schema per topic."""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from events import examples
from events.limits import MAX_RECORD_BYTES
from events.recommendation import Recommendation
from events.topics import USER_TOPICS, Topic, events_on
from events.types import STRUCT_OF, CatalogueItem

CONTRACT_VERSION = "1.0.0"
PUBLIC_TOPICS = (*USER_TOPICS, Topic.ITEMS, Topic.RECOMMENDATIONS)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CLOUD_EVENTS = {
    "ce_id": "event_id, where the payload has none",
    "ce_time": "occurred_at, where the payload has none",
    "ce_subject": "user_id, where the payload has none",
}
_KEYS = {Topic.ITEMS: "the item id", Topic.RECOMMENDATIONS: "the user id"}
_SUMMARIES = {
    Topic.IMPRESSIONS: "Lists of items that shoppers were shown.",
    Topic.CLICKS: "Items that shoppers picked or opened.",
    Topic.CARTS: "Items put into and taken out of carts.",
    Topic.PURCHASES: "Baskets bought and given back.",
    Topic.SEARCHES: "What shoppers searched for.",
    Topic.ITEMS: "The catalogue, compacted: the last record of an item counts, a null value removes it.",
    Topic.RECOMMENDATIONS: "A slate for a user, each time one of the user's events asks for a new one.",
}


def documents() -> dict[str, str]:
    """File name → content of the whole contract, the same on every machine."""
    contents = {"asyncapi.json": _asyncapi()}
    contents |= {f"{topic}.schema.json": topic_schema(topic) for topic in PUBLIC_TOPICS}
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in contents.items()
    }


def write(folder: Path) -> list[Path]:
    """Write `documents()` into `folder`, which is made if need be; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in documents().items():
        path = folder / name
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths


def topic_schema(topic: Topic) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record's value on a public topic, complete in itself.

    ValueError when the topic is not public.
    """
    if topic not in PUBLIC_TOPICS:
        raise ValueError(f"topic_schema got {topic}; it takes one of {', '.join(PUBLIC_TOPICS)}")
    alternatives, definitions = _payload(topic, ref_template="#/$defs/{name}")
    schema: dict[str, Any] = {
        "$schema": _DIALECT,
        "title": f"Headwater topic {topic}",
        "description": _SUMMARIES[topic],
    }
    return schema | {"anyOf": alternatives, "$defs": definitions}


def _structs_of(topic: Topic) -> list[type[msgspec.Struct]]:
    if topic is Topic.ITEMS:
        return [CatalogueItem]
    if topic is Topic.RECOMMENDATIONS:
        return [Recommendation]
    return [STRUCT_OF[name] for name in events_on(topic)]


def _payload(topic: Topic, *, ref_template: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a record's value may be, and the definitions that this needs."""
    references, definitions = msgspec.json.schema_components(_structs_of(topic), ref_template=ref_template)
    definitions = {name: _polished(definition) for name, definition in definitions.items()}
    alternatives = [dict(reference) for reference in references]
    if topic is Topic.ITEMS:
        definitions["CatalogueItem"]["required"].remove("event")  # the topic already says that it is an item
    if topic in USER_TOPICS:
        name = f"{topic.title()}Envelope"
        definitions[name] = _envelope(topic, of=alternatives)
        alternatives = [*alternatives, {"$ref": ref_template.format(name=name)}]
    return alternatives, definitions


def _envelope(topic: Topic, *, of: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": f"{topic.title()}Envelope",
        "description": "Many events in one record, of users whose keys belong on the same partition.",
        "type": "object",
        "properties": {"events": {"type": "array", "items": {"anyOf": of}, "minItems": 1}},
        "required": ["events"],
        "not": {"required": ["event"]},
    }


def _polished(node: Any) -> Any:
    """The generated schema with docstrings unindented, and times as what the codec takes: number or text."""
    if isinstance(node, list):
        return [_polished(part) for part in node]
    if not isinstance(node, dict):
        return node
    polished = {name: _polished(part) for name, part in node.items()}
    if isinstance(polished.get("description"), str):
        polished["description"] = " ".join(inspect.cleandoc(polished["description"]).split())
    if polished.get("format") == "date-time":
        polished["type"] = ["integer", "string"]
    return polished


def _asyncapi() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in PUBLIC_TOPICS:
        alternatives, definitions = _payload(topic, ref_template="#/components/schemas/{name}")
        schemas |= definitions
        messages[topic] = _message(topic, payload={"anyOf": alternatives})
        channels[topic] = {
            "address": topic,
            "summary": _SUMMARIES[topic],
            "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
            "bindings": {"kafka": {"bindingVersion": "0.5.0", "topic": topic}},
        }
        action = "send" if topic is Topic.RECOMMENDATIONS else "receive"
        operations[f"{action}-{topic}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic}"},
            "messages": [{"$ref": f"#/channels/{topic}/messages/{topic}"}],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headwater",
            "version": CONTRACT_VERSION,
            "description": (
                "What a storefront sends to the recommender over Kafka, and what it gets back. Names are "
                f"those of GA4's e-commerce events. A record is JSON of at most {MAX_RECORD_BYTES} bytes; "
                "unknown fields are ignored. Topic names may carry a prefix that the deployment sets."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _message(topic: Topic, *, payload: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic,
        "title": topic.capitalize(),
        "summary": _SUMMARIES[topic],
        "contentType": "application/json",
        "payload": payload,
        "bindings": {
            "kafka": {
                "bindingVersion": "0.5.0",
                "key": {"type": "string", "description": _KEYS.get(topic, "the user id")},
            }
        },
        "examples": [
            {"name": name, "payload": json.loads(msgspec.json.encode(example))}
            for name, example in _examples(topic)
        ],
    }
    if topic in USER_TOPICS:
        message["headers"] = {
            "type": "object",
            "description": "CloudEvents attributes, honoured for a record of one event.",
            "properties": {
                name: {"type": "string", "description": meaning} for name, meaning in _CLOUD_EVENTS.items()
            },
        }
    return message


def _examples(topic: Topic) -> list[tuple[str, msgspec.Struct]]:
    if topic is Topic.ITEMS:
        return [("item", examples.ITEM)]
    if topic is Topic.RECOMMENDATIONS:
        return [("recommendation", examples.RECOMMENDATION)]
    return [(name, examples.EVENTS[name]) for name in events_on(topic)]
