"""The undisturbed run: a learner in a process of its own that takes the same log in the same written-down order.

`python -m bench.chaos.control FOLDER OUT`: FOLDER holds the journal and gets the snapshots; settings come from the
environment. OUT gets, as JSON, the digest of every adapter by version and those of the last snapshots' files.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from load.chaos.raw_log import RawRecord, read_raw
from models.snapshots import snapshots
from streams.adapter_topic import SERVING_HEADER
from streams.learner_parts import learning_agent, learnt_from
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.settings import load
from streams.topics import topic_name


def adapter_digest(value: bytes | None, serving: bytes | None) -> tuple[int, str]:
    """Version and digest of an adapter: its bytes, and all that goes with them but the time of its making."""
    header: dict[str, Any] = json.loads(serving or b"")
    header.pop("made_at", None)
    told = json.dumps(header, sort_keys=True).encode()
    return int(header["version"]), hashlib.sha256((value or b"") + told).hexdigest()


def snapshot_digests(folder: Path) -> dict[str, dict[str, str]]:
    """Snapshot -> file -> digest."""
    return {
        path.name: {
            str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
        for path in snapshots(folder)
    }


def main(folder: Path, out: Path) -> None:
    """Run it and write OUT."""
    settings = load().updated(learner={"snapshot_dir": str(folder)})
    kafka = settings.kafka
    topics = learnt_from(settings)
    raw = read_raw(
        kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        topics=[topic.value for topic in topics.values()],
        prefix=kafka.topic_prefix,
    )
    names = {topic.value: topic_name(topic, kafka=kafka) for topic in topics.values()}
    agent = learning_agent(settings, metrics=Metrics(role="learner"), folder=folder)
    adapters: dict[int, str] = {}
    for record in agent.process([_logged(record, names) for record in raw]):
        version, digest = adapter_digest(record.value, dict(record.headers)[SERVING_HEADER])
        adapters[version] = digest
    out.write_text(json.dumps({"adapters": adapters, "snapshots": snapshot_digests(folder)}))


def _logged(record: RawRecord, names: Mapping[str, str]) -> LogRecord:
    topic, partition, offset, timestamp_ms, key, value, headers = record
    return LogRecord(names[topic], partition, offset, timestamp_ms, key, value, headers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
