"""The order of many partitions is chosen once, written down, and repeated after a restart."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import JournalError
from streams.log_reader import LogRecord
from streams.sequencer import Journal, Run, Sequencer
from tests.full_disk import files_up_to


def log_of(lengths: list[int]) -> dict[tuple[str, int], list[LogRecord]]:
    """One partition per length, offsets from 0."""
    return {
        ("clicks", partition): [
            LogRecord("clicks", partition, offset, offset, b"k", b"v") for offset in range(length)
        ]
        for partition, length in enumerate(lengths)
    }


def interleave(log: dict[tuple[str, int], list[LogRecord]], seed: int) -> list[LogRecord]:
    """All records, each partition in order, the partitions mixed by chance."""
    chance = random.Random(seed)
    left = {key: list(records) for key, records in log.items() if records}
    mixed = []
    while left:
        key = chance.choice(sorted(left))
        mixed.append(left[key].pop(0))
        if not left[key]:
            del left[key]
    return mixed


def run(sequencer: Sequencer, arrivals: list[LogRecord], cut_every: int) -> list[LogRecord]:
    taken: list[LogRecord] = []
    for record in arrivals:
        sequencer.offer(record)
        for ready in sequencer.ready():
            taken.append(ready)
            if len(taken) % cut_every == 0:
                sequencer.cut()
    return taken


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    cut_every=st.integers(1, 7),
)
def test_restart_repeats_the_order_up_to_the_last_cut(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seeds: tuple[int, int], cut_every: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    log = log_of(lengths)
    first = run(Sequencer(Journal(path)), interleave(log, seeds[0]), cut_every)
    second = run(Sequencer(Journal(path)), interleave(log, seeds[1]), cut_every)
    kept = len(first) - len(first) % cut_every
    assert second[:kept] == first[:kept]
    assert sorted(second) == sorted(first)


def test_snapshotted_journal_keeps_everything_while_it_is_small(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([Run("clicks", 0, 3)])
    Sequencer(journal).snapshotted(oldest={("clicks", 0): 4}, keep_bytes=1_000)
    assert journal.read() == [Run("clicks", 0, 3)]
    assert journal.start == {}


@settings(max_examples=25)  # each writes and syncs a journal of thirty cuts
@given(oldest=st.integers(0, 60), kept=st.integers(0, 600))
def test_journal_that_is_too_large_loses_its_beginning_but_nothing_that_a_snapshot_needs(
    tmp_path_factory: pytest.TempPathFactory, oldest: int, kept: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "j")
    for last in range(0, 60, 2):
        journal.append([Run("clicks", 0, last), Run("carts", 1, last + 1)])
    whole, size = journal.read(), journal.nbytes
    before = {("clicks", 0): oldest, ("carts", 1): oldest}
    Sequencer(journal, start=before).snapshotted(oldest=before, keep_bytes=kept)
    left = journal.read()
    assert left == whole[len(whole) - len(left) :]
    needed = [run for run in whole if run.last >= oldest]
    assert left[len(left) - len(needed) :] == needed
    assert all(
        journal.start[run.topic, run.partition] == run.last + 1
        for run in whole[: len(whole) - len(left)][-2:]
    )
    if size <= kept:
        assert left == whole
    journal.append([Run("clicks", 0, 99)])
    assert journal.read() == [*left, Run("clicks", 0, 99)]
    start = dict(journal.start)
    journal.trim(before={("clicks", 0): 100, ("carts", 1): 100}, to_bytes=0)
    assert journal.read() == []
    assert journal.start == {**start, ("clicks", 0): 100, ("carts", 1): 60}


@pytest.mark.parametrize("more", [0, 1, 7])
def test_journal_on_a_full_disk_is_as_it_was_and_the_next_cut_writes_it_all(
    tmp_path: Path, more: int
) -> None:
    journal = Journal(tmp_path / "j")
    sequencer = Sequencer(journal)
    records = log_of([6])["clicks", 0]
    taken = run(sequencer, records[:2], cut_every=2)
    whole = (tmp_path / "j").read_bytes()
    taken += run(sequencer, records[2:4], cut_every=9)
    with files_up_to(len(whole) + more), pytest.raises(OSError, match="large"):
        sequencer.cut()
    assert (tmp_path / "j").read_bytes() == whole
    sequencer.cut()
    assert journal.read() == [Run("clicks", 0, 1), Run("clicks", 0, 3)]
    assert taken == records[:4]


def test_line_cut_short_by_a_crash_is_left_out_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append([Run("clicks", 0, 3)])
    path.write_bytes(path.read_bytes() + b'[["clicks",1')
    assert journal.read() == [Run("clicks", 0, 3)]
    journal.append([Run("clicks", 1, 5)])
    assert journal.read() == [Run("clicks", 0, 3), Run("clicks", 1, 5)]


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'[["clicks"\n[["clicks",0,3]]\n')
    with pytest.raises(JournalError, match="line 1"):
        Journal(path).read()


def test_run_whose_end_was_compacted_away_does_not_stall(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path).append([Run("item-vectors", 0, 4), Run("clicks", 0, 0)])
    sequencer = Sequencer(Journal(path))
    sequencer.offer(LogRecord("clicks", 0, 0, 0, b"", b""))
    assert list(sequencer.ready()) == []
    sequencer.offer(LogRecord("item-vectors", 0, 7, 0, b"", b""))
    assert [(record.topic, record.offset) for record in sequencer.ready()] == [
        ("clicks", 0),
        ("item-vectors", 7),
    ]
    assert not sequencer.replaying


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    again_from=st.integers(0, 40),
)
def test_record_offered_again_is_taken_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seeds: tuple[int, int], again_from: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    log = log_of(lengths)
    first = run(Sequencer(Journal(path)), interleave(log, seeds[0]), 5)
    arrivals = interleave(log, seeds[1])
    second = run(Sequencer(Journal(path)), [*arrivals[:again_from], *arrivals], 5)
    kept = len(first) - len(first) % 5
    assert second[:kept] == first[:kept]
    assert sorted(second) == sorted(first)


def test_an_order_without_any_step_is_written_down_before_it_fills_the_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    sequencer = Sequencer(journal)
    for number in range(10_000):
        sequencer.offer(LogRecord("clicks", number % 2, number // 2, 0, None, b""))
        assert len(list(sequencer.ready())) == 1
        assert len(sequencer._runs) < 4_097
    assert len(journal.read()) == 2 * 4_096
