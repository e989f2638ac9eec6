"""After the run: everything is read raw, and the ledgers say what is lost, duplicated or diverged."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench.chaos.config import ChaosConfig
from bench.chaos.control import adapter_digest, snapshot_digests
from bench.chaos.launching import Launcher
from bench.chaos.redis_bytes import read_redis
from bench.chaos.stage import Stage
from bench.errors import BenchError
from events.topics import USER_TOPICS, Topic
from load.chaos.findings import Finding, Place, Verdict, Wrong, together
from load.chaos.other_ledgers import letters_verdict, vectors_verdict, weights_verdict
from load.chaos.raw_log import RawRecord, read_raw
from load.chaos.slate_ledger import slate_verdict
from load.chaos.source_log import read_source
from load.chaos.state_ledger import state_verdict
from streams.adapter_topic import SERVING_HEADER
from streams.learning import JOURNAL
from streams.processes import describe_exit

_CONTROL_TIMEOUT_S = 900.0
_LOOK_S = 0.1


def audit(config: ChaosConfig, *, stage: Stage, launcher: Launcher) -> Verdict:
    """Every ledger of the roles that ran, as one verdict; `launcher` starts the undisturbed learner."""
    prefix = stage.settings.kafka.topic_prefix
    source = read_source(_read(stage, *USER_TOPICS))
    verdicts = []
    if "recommender" in config.roles:
        verdicts += [
            state_verdict(source, read_redis(stage.settings)),
            slate_verdict(source, _read(stage, Topic.RECOMMENDATIONS), prefix=prefix),
            letters_verdict(source, _read(stage, Topic.DEAD_LETTERS), prefix=prefix),
        ]
    if "encoder" in config.roles:
        verdicts.append(vectors_verdict(_read(stage, Topic.ITEMS), _read(stage, Topic.ITEM_VECTORS)))
    if "learner" in config.roles:
        verdicts.append(_weights(stage, launcher=launcher))
    return together(verdicts)


def _read(stage: Stage, *topics: Topic) -> list[RawRecord]:
    kafka = stage.settings.kafka
    return read_raw(
        kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        topics=[topic.value for topic in topics],
        prefix=kafka.topic_prefix,
    )


def _weights(stage: Stage, *, launcher: Launcher) -> Verdict:
    """The adapters, and the learner's whole state in its snapshots, against those of an undisturbed run."""
    published = [
        (record.place, *adapter_digest(record.value, dict(record.headers)[SERVING_HEADER]))
        for record in _read(stage, Topic.ADAPTERS)
    ]
    folder = stage.folder / "control"
    folder.mkdir()
    shutil.copy(Path(stage.settings.learner.snapshot_dir) / JOURNAL, folder / JOURNAL)
    control = _control(stage, folder, launcher=launcher)
    adapters = {int(version): digest for version, digest in control["adapters"].items()}
    verdict = weights_verdict(published, adapters)
    findings = list(verdict.findings)
    last, should = max((one[1] for one in published), default=0), max(adapters, default=0)
    if (
        last < should - 1
    ):  # the last one's batch may have been cut elsewhere: its order was not written down yet
        place = Place(Topic.ADAPTERS.value, 0, len(published))
        what = f"the last adapter is {last}; the undisturbed run comes to {should}"
        findings.append(Finding(Wrong.LOST, place, what, count=should - last))
    own = snapshot_digests(Path(stage.settings.learner.snapshot_dir))
    both = sorted(own.keys() & control["snapshots"].keys())
    for name in both:
        files = own[name].keys() | control["snapshots"][name].keys()
        odd = sorted(file for file in files if own[name].get(file) != control["snapshots"][name].get(file))
        if odd:
            what = f"{name} differs from the undisturbed run's in {', '.join(odd)}"
            findings.append(Finding(Wrong.DIVERGED, Place("snapshots", 0, 0), what))
    return Verdict(tuple(findings), {**verdict.checked, "snapshots": len(both)})


def _control(stage: Stage, folder: Path, *, launcher: Launcher) -> dict[str, Any]:
    out, log = stage.folder / "control.json", stage.folder / "control.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADWATER_", "KAFKA_", "REDIS_"))}
    own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = ["bench.chaos.control", str(folder), str(out)]
    env = {**kept, **stage.settings.environment(), **own}
    pid = launcher.start("control", command=command, env=env, log=log)
    deadline = time.monotonic() + _CONTROL_TIMEOUT_S
    while pid not in (codes := launcher.ended()):
        if time.monotonic() > deadline:
            raise BenchError(f"the undisturbed learner has not ended after {_CONTROL_TIMEOUT_S:g} s")
        time.sleep(_LOOK_S)
    if codes[pid] != 0:
        tail = log.read_text(errors="replace")[-4000:]
        raise BenchError(f"the undisturbed learner ended with {describe_exit(codes[pid])}\n{tail}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found
