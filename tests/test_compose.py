"""docker-compose.yml and deploy/: the file is valid, its commands parse, what it shows exists."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import typer
import yaml
from typer.core import TyperGroup

from cli.main import app
from streams.metrics import Metrics
from streams.settings import load
from tests.compose_services import (
    COMPOSE_FILE,
    ComposeError,
    ComposeService,
    interpolate,
    read_compose,
    services,
)

ROOT = COMPOSE_FILE.parent
DOCKER = shutil.which("docker")
OURS = sorted(name for name, service in services().items() if service.ours)
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/headwater.json").read_text())


def test_file_follows_the_compose_specification() -> None:
    schema = json.loads((ROOT / "tests/compose_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = jsonschema.Draft202012Validator(schema).iter_errors(read_compose())
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


if (
    DOCKER
    and subprocess.run([DOCKER, "compose", "version"], capture_output=True, check=False).returncode == 0
):

    def test_docker_compose_accepts_the_file() -> None:
        command = [str(DOCKER), "compose", "-f", str(COMPOSE_FILE), "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_every_role_is_there_and_two_recommenders() -> None:
    found = services()
    assert OURS == ["encoder", "learner", "recommender", "topics"]
    assert found["recommender"].replicas == 2
    assert set(found) == {*OURS, "kafka", "redis", "prometheus", "grafana"}


def test_images_are_pinned_to_a_version() -> None:
    for service in services().values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service.image), f"{service.name}: {service.image}"


@pytest.mark.parametrize("name", OURS)
def test_command_parses(name: str) -> None:
    _parse(services()[name].command[1:])


@pytest.mark.parametrize(
    "wrong",
    [["wroker"], ["worker", "--role", "cook"], ["worker", "--no-such-option"], ["topics", "ensure", "more"]],
)
def test_command_that_does_not_exist_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|is not one of|[Uu]nexpected"):
        _parse(wrong)


def _parse(words: Sequence[str]) -> None:
    """Parse the command line down to the command that would run, and run nothing."""
    command: Any = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    context, arguments = None, list(words)
    while isinstance(command, TyperGroup):
        assert arguments, f"{command.name} needs a command"
        context = command.make_context(command.name, arguments, parent=context)
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("name", OURS)
def test_environment_is_valid_settings(name: str, tmp_path: Path) -> None:
    settings = load(services()[name].environment, folder=tmp_path)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.redis.url == "redis://redis:6379/0"


def test_dependencies_and_volumes_exist_and_health_is_checked_where_it_is_awaited() -> None:
    document = read_compose()
    for name, service in document["services"].items():
        for other, terms in service.get("depends_on", {}).items():
            check = document["services"][other].get("healthcheck", {})
            if terms["condition"] == "service_healthy":
                assert "test" in check, f"{name} waits for the health of {other}, which has no check"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (ROOT / source).exists() if source.startswith(".") else source in document["volumes"]
            assert known, f"{name}: {source}"


def test_every_server_restarts_and_says_how_healthy_it_is() -> None:
    for name, service in read_compose()["services"].items():
        assert service["restart"] == ("on-failure" if name == "topics" else "unless-stopped")
        assert "healthcheck" in service


def test_partitions_can_be_set_from_outside() -> None:
    assert services()["topics"].environment["KAFKA_PARTITIONS"] == "8"
    assert services(environ={"KAFKA_PARTITIONS": "32"})["topics"].environment["KAFKA_PARTITIONS"] == "32"


def test_prometheus_scrapes_every_worker_at_its_port() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    [target] = config["scrape_configs"][0]["dns_sd_configs"]
    assert sorted(target["names"]) == sorted(set(OURS) - {"topics"})
    for name in target["names"]:
        assert services()[name].environment["HEADWATER_OBSERVABILITY_METRICS_PORT"] == str(target["port"])
        assert services()[name].environment["HEADWATER_OBSERVABILITY_METRICS_HOST"] == "0.0.0.0"


ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]


def test_prometheus_loads_the_alerts_from_the_folder_that_compose_mounts() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in read_compose()["services"]["prometheus"]["volumes"]


def test_alerts_look_only_at_metrics_that_exist() -> None:
    [group] = ALERTS
    assert group["name"] == "headwater"
    for rule in group["rules"]:
        used = set(re.findall(r"\b(?:headwater|process)_\w+", rule["expr"]))
        assert used, rule["alert"]
        assert used <= _metric_names(), rule["alert"]


def test_every_alert_says_what_is_wrong_and_is_documented() -> None:
    documented = (ROOT / "docs/operations.md").read_text()
    rules = ALERTS[0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) == 7
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f"| `{rule['alert']}` |" in documented


def _metric_names() -> set[str]:
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
    return {
        family.name + suffix
        for family in Metrics(role="test").registry.collect()
        for suffix in suffixes.get(family.type, ("",))
    }


def _expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_dashboard_shows_only_metrics_that_exist() -> None:
    used = {name for text in _expressions() for name in re.findall(r"\b(?:headwater|process)_\w+", text)}
    assert len(used) > 20
    assert used <= _metric_names()


def test_dashboard_is_the_one_that_grafana_provisions() -> None:
    found = services()["grafana"]
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    providers = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/headwater.yml").read_text())
    uid = sources["datasources"][0]["uid"]
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} == {
        uid
    }
    folder = providers["providers"][0]["options"]["path"]
    assert found.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/headwater.json"


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at: dict[str, Any] = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_variables_are_put_in_as_compose_does() -> None:
    environ = {"SET": "x", "EMPTY": ""}
    assert (
        interpolate("$SET ${SET} ${SET:-d} ${EMPTY:-d} ${EMPTY-d}|$$SET", environ=environ) == "x x x d |$SET"
    )
    with pytest.raises(ComposeError, match="variable GONE is needed: set it"):
        interpolate("${GONE:?set it}", environ=environ)


def test_replacing_a_variable_that_the_service_does_not_have_is_refused() -> None:
    service: ComposeService = services()["recommender"]
    assert service.local_environment({"REDIS_URL": "redis://here"})["REDIS_URL"] == "redis://here"
    with pytest.raises(ComposeError, match="service recommender has no REDIS_URI to replace"):
        service.local_environment({"REDIS_URI": "redis://here"})
