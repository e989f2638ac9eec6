"""What is reachable from outside, and what a file tells: nothing unless somebody says so."""

import re
from pathlib import Path

import psutil
import pytest
import yaml

from streams.metrics import Metrics
from streams.settings import Settings
from tests.compose_services import COMPOSE_FILE, read_compose

ROOT = Path(__file__).parents[1]
_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$|JAAS")


def test_metrics_are_served_on_this_machine_only_by_default() -> None:
    assert Settings().observability.metrics_host == "127.0.0.1"
    metrics = Metrics(role="recommender")
    port = metrics.serve(host=Settings().observability.metrics_host, port=0)
    try:
        listening = [
            at.laddr.ip
            for at in psutil.Process().net_connections("inet")
            if at.status == psutil.CONN_LISTEN and at.laddr.port == port
        ]
    finally:
        metrics.close()
    assert listening == ["127.0.0.1"]


def test_compose_publishes_ports_on_this_machine_only() -> None:
    ports = {name: service.get("ports", []) for name, service in read_compose()["services"].items()}
    assert any(ports.values())
    assert [port for of_one in ports.values() for port in of_one if not port.startswith("127.0.0.1:")] == []
    assert ports["redis"] == []


def test_compose_takes_secrets_from_the_environment() -> None:
    told = {
        (name, variable): value
        for name, service in yaml.safe_load(COMPOSE_FILE.read_text())["services"].items()
        for variable, value in service.get("environment", {}).items()
        if _SECRET.search(variable)
    }
    assert told
    assert {
        place: value for place, value in told.items() if not re.fullmatch(r"\$\{\w+(:[-?].*)?\}", value)
    } == {}


def test_the_example_of_settings_holds_no_secret() -> None:
    lines = (ROOT / "headwater.toml.example").read_text().splitlines()
    secrets = [line for line in lines if re.match(r"(# )?\w*(password|secret_key)\w* =", line)]
    assert len(secrets) == 4
    assert all(line.startswith("# ") and line.endswith("=") for line in secrets)


def test_image_context_leaves_out_what_may_hold_secrets() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "headwater.toml", ".env"} <= set(ignored)


@pytest.mark.parametrize(("lock", "packages"), [("requirements.lock", 60), ("requirements-dev.lock", 20)])
def test_locks_have_a_hash_for_every_package_and_name_no_index(lock: str, packages: int) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert len(entries) > packages
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?:|index-url|find-links", text)
    assert not re.search(r"^torch==", text, flags=re.MULTILINE)
    assert "torch==2.13.0" in (ROOT / "requirements-torch.txt").read_text().splitlines()
    assert '"torch==2.13.0"' in (ROOT / "pyproject.toml").read_text()
