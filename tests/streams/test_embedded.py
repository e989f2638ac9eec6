import os
import signal
import socket
from pathlib import Path

import pytest

from streams.embedded import EmbeddedBroker, EmbeddedRedis
from streams.errors import ProcessError, ServerUnavailable
from streams.kafka_admin import broker_answers


def test_broker_answers_once_started_and_no_more_once_stopped() -> None:
    with EmbeddedBroker() as broker:
        assert broker_answers("127.0.0.1", broker.port)
        assert broker.bootstrap_servers == f"127.0.0.1:{broker.port}"
        assert broker.child.running
    assert not broker_answers("127.0.0.1", broker.port)


def test_redis_keeps_what_it_is_given_and_writes_no_files(tmp_path: Path) -> None:
    with EmbeddedRedis(log_dir=tmp_path) as server:
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"SET k v\r\nGET k\r\n")
            reply = b""
            while reply.count(b"\r\n") < 3:
                reply += connection.recv(256)
        assert reply == b"+OK\r\n$1\r\nv\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["redis.log"]


def test_two_servers_run_side_by_side() -> None:
    with EmbeddedRedis() as one, EmbeddedRedis() as other:
        assert one.port != other.port


def test_server_is_stopped_twice_without_harm() -> None:
    server = EmbeddedRedis().start()
    server.stop()
    server.stop()
    with pytest.raises(ProcessError, match="redis has not been started"):
        _ = server.child


def test_crashed_server_is_seen() -> None:
    with EmbeddedRedis() as server:
        os.kill(server.child.pid, signal.SIGKILL)
        assert server.child.wait(timeout_s=20) == -signal.SIGKILL


class _Broken(EmbeddedBroker):
    def command(self, port: int, *, folder: Path) -> list[str]:
        return [str(folder / "nothing"), str(port)]


def test_server_that_does_not_run_here_names_the_setting_to_use_instead() -> None:
    with pytest.raises(ServerUnavailable, match=r"(?s)set KAFKA_BOOTSTRAP_SERVERS.*cannot run .*nothing"):
        _Broken().start()
