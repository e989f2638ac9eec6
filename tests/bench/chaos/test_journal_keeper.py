"""The learner's whole order is kept, though its journal starts anew at every snapshot."""

from pathlib import Path

from bench.chaos.journal_keeper import JournalKeeper
from streams.sequencer import Journal, Run
from tests.streams.deadlines import wait_for


def test_lines_of_every_journal_are_kept_in_their_order(tmp_path: Path) -> None:
    keeper = JournalKeeper(tmp_path / "snapshots", kept=tmp_path / "kept")
    journal = Journal(tmp_path / "snapshots" / "journal.jsonl")
    keeper.start()
    runs = [[Run("clicks", 0, n)] for n in range(9)]
    for number, run in enumerate(runs):
        journal.append(run)
        kept = number // 3 + 1
        wait_for(lambda kept=kept: len(list((tmp_path / "kept").iterdir())) == kept, what="a link")  # type: ignore[misc]
        if number % 3 == 2:
            journal.clear()
    keeper.stop()
    whole = Journal(tmp_path / "whole.jsonl")
    (tmp_path / "whole.jsonl").write_bytes(keeper.whole())
    assert whole.read() == [run for [run] in runs]


def test_line_cut_short_is_left_out(tmp_path: Path) -> None:
    keeper = JournalKeeper(tmp_path, kept=tmp_path / "kept")
    (tmp_path / "journal.jsonl").write_bytes(b'[["clicks",0,1]]\n[["cl')
    keeper.start()
    keeper.stop()
    assert keeper.whole() == b'[["clicks",0,1]]\n'
