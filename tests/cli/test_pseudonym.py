"""`headwater pseudonym` says where Redis has a shopper's state and slate, with and without pseudonyms."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from events.pseudonyms import Pseudonyms
from serving.keys import KeySpace

KEY = "a-key-of-sixteen-bytes-or-more"


def _printed(folder: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> dict[str, str]:
    monkeypatch.chdir(folder)  # no headwater.toml there
    done = CliRunner().invoke(app, ["pseudonym", "bob"], env={"KAFKA_PARTITIONS": "8", **environ})
    assert done.exit_code == 0, done.output
    return dict(line.split() for line in done.output.splitlines())


def test_without_pseudonyms_the_keys_hold_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, printed = KeySpace(partitions=8), _printed(tmp_path, monkeypatch)
    partition = keys.partition("bob")
    assert printed == {
        "partition": str(partition),
        "state": keys.state(partition, "bob"),
        "slate": keys.slate(partition, "bob"),
    }


def test_with_pseudonyms_the_keys_hold_the_pseudonym_and_the_partition_of_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = _printed(
        tmp_path, monkeypatch, HEADWATER_PRIVACY_PSEUDONYMISE="true", HEADWATER_PRIVACY_SECRET_KEY=KEY
    )
    keys, named = KeySpace(partitions=8), Pseudonyms(KEY.encode()).user("bob")
    partition = keys.partition("bob")
    assert printed == {
        "pseudonym": named,
        "partition": str(partition),
        "state": keys.state(partition, named),
        "slate": keys.slate(partition, named),
    }
