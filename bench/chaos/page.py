"""The reports of many chaos runs as one page: `python -m bench.chaos.page FOLDER DATE` writes FOLDER/README.md.

What FOLDER/notes.md says stands in the page too.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from load.chaos.schedule import FaultKind

_INTRO = """\
# Chaos: processes killed at random moments, and what was lost

Each row is one run of `headwater chaos`: one system (a recommender, the learner, the encoder, Redis and a broker) is
started once, the shipped shop's events come at a steady rate (3 % of them twice, 1 % broken), and a schedule that
the seed decides hits one process after the other: SIGKILL or SIGTERM, between batches or into a burst of 20 to 80
events or items, mostly once the last victim has recovered, one time in five before. On Apache Kafka the broker is
killed too, and started again on its data; the embedded broker keeps nothing, so it is not.

After each run everything is read raw (topics by a consumer without a group, Redis key by key) and compared with the
source log by code that shares the event contract (`events`) with what writes it, and nothing else:

- **state**: each user's stored words (number of events and purchases, first and last time, place of the last event,
  the last event ids, views and purchases of each item) with a fold of the log in plain Python; watermarks with the
  log's ends; nobody may still wait for a slate;
- **slates**: each event that asks for one has a slate that has seen its offset; each slate's `rec_id` follows from
  the last event of its user that it says it has seen; one `rec_id` never stands for two contexts, arms or
  propensities (items and scores of a slate that is made again may have moved on with popularity);
- **vectors**: each item has a vector of its last description; **dead letters**: each broken record is there with its
  own bytes, and nothing else is;
- **weights**: each adapter that was published, with the bandit, the counters and the test-then-train figures that go
  with it, and every file of the last snapshots (weights, optimiser, replay buffer, drift, open impressions, states
  and sources) equal, to the last bit, those of a learner in another process that takes the same log in the same
  order and is never disturbed.
"""
_LIMITS = """\
What is not claimed: the content of a slate that is made again is not compared, only its identity, its arm and its
propensity. A user's words that depend on how topics were interleaved (session slots, decayed frequencies) are
compared nowhere here; `tests/e2e/test_exactly_once.py` compares them byte by byte where the order is known. The
replay leaves the time between two kills to chance, so a run is repeatable in its schedule and traffic, not to the
microsecond. Workers of runs marked *fork* are forks of a process that has imported the program, which saves the
imports and nothing else; those of runs marked *command* are started as `headwater up` starts them.
"""


def page_of(reports: Sequence[dict[str, Any]], *, date: str, notes: str = "") -> str:
    """The page, from the JSON of each run, and what else there is to say of them."""
    whole = {
        name: sum(report[name] for report in reports) for name in ("kills", "lost", "duplicated", "diverged")
    }
    machine = reports[0]["machine"]
    loads = [report["machine"]["load_average"][0] for report in reports]
    loads += [report["load_average_after"] for report in reports]
    return "\n".join(
        [
            _INTRO,
            f"**{whole['kills']} faults in {len(reports)} runs: lost / duplicated / diverged = "
            f"{whole['lost']} / {whole['duplicated']} / {whole['diverged']}.** {date}, {machine['cpu']}, "
            f"{machine['cores']} cores, {machine['memory_gib']:g} GiB, shared with other work "
            f"(load average {min(loads):.1f} to {max(loads):.1f}), so recovery times are upper bounds.",
            "",
            *_runs(reports),
            "",
            "## Recovery",
            "",
            "From the signal until every worker is ready and the role that was hit has answered something that was "
            "sent after the signal: an event's slate, an item's vector, or an adapter of a new version. Faults that "
            "the next one overtook have no time of their own.",
            "",
            *_recovery(reports),
            "",
            *([notes] if notes else []),
            _LIMITS,
            "## Commands",
            "",
            *(f"    {report['machine']['command']}" for report in reports),
            "",
        ]
    )


def _runs(reports: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| broker | settings | start | seed | kills | lost / duplicated / diverged | events | slates | adapters "
        "| snapshots | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        told, checked = report["settings"], report["details"]["checked"]
        lines.append(
            f"| {told['broker']} | {told['size']} | {told['start']} | {report['seed']} | {report['kills']} "
            f"| {report['lost']} / {report['duplicated']} / {report['diverged']} | {checked['events']:,} "
            f"| {checked['slates']:,} | {checked['adapters']:,} | {checked['snapshots']} "
            f"| {report['details']['seconds']:.0f} |"
        )
    return lines


def _recovery(reports: Sequence[dict[str, Any]]) -> list[str]:
    times: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    hits: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for report in reports:
        told = report["settings"]
        for fault in report["details"]["faults"]:
            key = (fault["kind"], told["broker"], told["size"], told["start"])
            hits[key] += 1
            if fault["recovery_s"] is not None:
                times[key].append(fault["recovery_s"])
    order = {kind.value: number for number, kind in enumerate(FaultKind)}
    lines = [
        "| fault | broker | settings | start | hits | timed | p50 s | max s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in sorted(hits, key=lambda key: (order[key[0]], key[1:])):
        found = sorted(times[key])
        figures = f"{found[(len(found) - 1) // 2]:.1f} | {found[-1]:.1f}" if found else "– | –"
        lines.append(f"| {' | '.join(key)} | {hits[key]} | {len(found)} | {figures} |")
    return lines


def main(folder: Path, date: str) -> None:
    """Write the page of all reports in the folder."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    notes = folder / "notes.md"
    text = page_of(reports, date=date, notes=notes.read_text() if notes.exists() else "")
    (folder / "README.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
