"""What the commands that read a stream ask for and tell of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.stream_options import tell_of_events
from load.columns import Columns
from load.errors import BadStream
from models.errors import InputError
from streams.settings import KafkaSettings
from tests.load.answering import Answering
from tests.load.conftest import create_topics

T_S = 1_700_000_000
NO_EVENT = "no event column: every row is taken as {}; name one with --columns event=COLUMN"


@pytest.fixture
def in_seconds(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(f"ts,user,item\n{T_S},u,a\n{T_S + 1},u,b\n")
    return path


def headwater(*arguments: object, kafka: KafkaSettings | None = None) -> Result:
    env = {"COLUMNS": "200", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    if kafka is not None:
        env["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        env["KAFKA_TOPIC_PREFIX"] = kafka.topic_prefix
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


@pytest.mark.parametrize(
    ("command", "taken_as"),
    [
        (("replay",), "view_item"),
        (("bench", "prequential", "--data"), "purchase"),
        (("bench", "diversity", "--protocol", "session", "--data"), "view_item"),
        (("tune", "--data"), "purchase"),
    ],
)
def test_seconds_are_refused_and_a_missing_event_column_is_told_of(
    in_seconds: Path, command: tuple[str, ...], taken_as: str
) -> None:
    figures = () if command == ("replay",) else ("--json", in_seconds.with_name("out.json"))
    result = headwater(*command, in_seconds, *figures)
    assert isinstance(result.exception, BadStream), result.output
    assert "is ms the right time unit? --time-unit" in str(result.exception)
    assert result.stderr.count(NO_EVENT.format(taken_as)) == 1


def test_replay_takes_seconds_where_it_is_told(in_seconds: Path, kafka: KafkaSettings) -> None:
    create_topics(kafka, partitions=2)
    with Answering(kafka.bootstrap_servers, topic_prefix=kafka.topic_prefix):
        result = headwater("replay", in_seconds, "--time-unit", "s", kafka=kafka)
    assert result.exit_code == 0, result.output
    assert "2 / 2 / 0" in result.stdout


def test_pretrain_takes_seconds_where_it_is_told(in_seconds: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("item,text\na,Red mug\nb,Blue mug\n")
    command = ("pretrain", in_seconds, "--items", items, "--out", tmp_path / "encoder")
    refused = headwater(*command)
    assert isinstance(refused.exception, BadStream), refused.output
    assert NO_EVENT.format("view_item") in refused.stderr
    too_few = headwater(*command, "--time-unit", "s")
    assert isinstance(too_few.exception, InputError), too_few.output
    assert "1 pairs of 2 texts" in too_few.stderr


@pytest.mark.parametrize("command", ["replay", "pretrain"])
def test_help_names_the_columns_and_what_a_line_of_jsonl_is(command: str) -> None:
    shown = " ".join(headwater(command, "--help").output.split())
    for words in ("ts (ms), user, item, and optionally event", "docs/schema", "--time-unit"):
        assert words in shown


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("rows.csv", f"ts,user,item,action\n{T_S},u,a,view\n", Columns()),
        ("rows.csv", f"ts,user,item,what\n{T_S},u,a,view\n", Columns(renames={"event": "what"})),
        ("events.jsonl", "{}", Columns()),
    ],
)
def test_nothing_is_told_where_events_are_named(
    tmp_path: Path, name: str, text: str, columns: Columns
) -> None:
    (tmp_path / name).write_text(text)
    told: list[str] = []
    for path in (tmp_path / name, tmp_path / "missing.csv"):
        tell_of_events(path, columns=columns, tell=told.append)
    assert told == []
