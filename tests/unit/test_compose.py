"""docker-compose.yml says nothing that is not there: schema, names, paths, settings, commands, rights."""

import re
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from infra.settings import environment_names, load
from infra.settings.loading import ALIASES
from kandle.__main__ import cli
from tests.compose_file import FILE, IMAGE, ROOT, filled, names_of_example, services, variables

SERVICES = services()
OURS = services(IMAGE)
READS_LOGS_OF_ROOT = {"filebeat"}
"""Its user is root, as the files are that it reads; of root's rights it has one."""
KEEPS_ITS_ROOT_WRITABLE = {"kafka", "timescaledb", "elasticsearch", "kibana"}
"""Their images write configuration and logs beside their programs when they start."""
ENDS_BY_ITSELF = {"migrate"}
TELLS_NO_HEALTH = {"filebeat"}
USER_OF_THE_IMAGE = {"kafka", "elasticsearch", "kibana"}
"""Images that name a user who is not root."""


def test_the_file_is_what_the_specification_of_compose_asks_for() -> None:
    validator = Draft7Validator(get_builtin_schema("vendor.compose-spec"))
    assert list(validator.iter_errors(yaml.safe_load(FILE.read_text()))) == []
    assert list(validator.iter_errors(filled())) == []


def test_the_parts_of_the_pipeline_are_there() -> None:
    assert OURS.keys() == {"migrate", "produce", "process", "sink", "notifications", "serve"}
    elk = {name for name, service in SERVICES.items() if service.get("profiles") == ["elk"]}
    assert elk == {"elasticsearch", "kibana", "filebeat"}
    assert SERVICES.keys() - OURS.keys() - elk == {
        "kafka", "timescaledb", "valkey", "prometheus", "grafana", "jaeger",
    }  # fmt: skip


def test_the_example_of_the_variables_has_each_of_them_and_no_other() -> None:
    asked = variables()
    example = names_of_example()
    assert {name for name, sign in asked.items() if sign == "?"} == {n for n, must in example.items() if must}
    assert asked.keys() - example.keys() == {"KANDLE_VERSION"}
    assert example.keys() <= asked.keys()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_our_processes_exist_and_can_be_loaded(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    given = OURS[name]["environment"]
    assert given.keys() <= {*environment_names(), *ALIASES}
    monkeypatch.chdir(tmp_path)
    for variable, value in given.items():
        assert isinstance(value, str), f"{variable}: Compose would write it as YAML does"
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert (settings.metrics.host, settings.metrics.port) == ("0.0.0.0", 9100)
    assert settings.logging.format == "json"
    assert settings.tracing.endpoint == "http://jaeger:4318"


@pytest.mark.parametrize("name", OURS)
def test_the_commands_of_our_processes_exist_with_their_options(name: str) -> None:
    words = list(OURS[name]["command"])
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    context = command.make_context(words[0], words[1:])
    # What a group has left over is a command of its own.
    rest = list(getattr(context, "_protected_args", [])) + context.args
    if isinstance(command, click.Group) and rest:
        inner = command.get_command(context, rest[0])
        assert inner is not None
        inner.make_context(rest[0], rest[1:])
        assert name in ENDS_BY_ITSELF


def test_our_processes_are_asked_for_their_readiness_where_they_answer() -> None:
    for name in OURS.keys() - ENDS_BY_ITSELF:
        program = OURS[name]["healthcheck"]["test"]
        assert program[:3] == ["CMD", "python", "-c"]
        assert "http://127.0.0.1:9100/readyz" in program[3]
        compile(program[3], name, "exec")
    serve = OURS["serve"]
    assert serve["command"][-1] == "8765"
    assert serve["ports"] == ["127.0.0.1:8765:8765"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_bounded_and_without_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+(-|$)", tag), "a tag names the patch level"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in {"unless-stopped", "on-failure:5"}
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service.get("read_only", False) == (name not in KEEPS_ITS_ROOT_WRITABLE)
    assert ("cap_add" in service) == (name in READS_LOGS_OF_ROOT)
    assert (service.get("user") == "root") == (name in READS_LOGS_OF_ROOT)
    assert ("user" in service) == (name not in OURS and name not in USER_OF_THE_IMAGE)
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_who_waits_for_health_waits_for_somebody_who_tells_it() -> None:
    for name, service in SERVICES.items():
        check = service.get("healthcheck", {})
        assert bool(check.get("test")) == (name not in ENDS_BY_ITSELF | TELLS_NO_HEALTH), name
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ENDS_BY_ITSELF else "service_healthy"
            assert how == {"condition": wanted}, (name, other)
            assert SERVICES[other].get("profiles", service.get("profiles")) == service.get("profiles")


def test_every_address_is_that_of_a_service_on_a_common_network() -> None:
    def networks(service: dict[str, Any]) -> set[str]:
        return set(service["networks"])

    for name, service in SERVICES.items():
        text = " ".join(str(value) for value in service.get("environment", {}).values())
        hosts = set(re.findall(r"(?://|@|^| )([a-z]+):\d{4,5}\b", text)) - {"localhost"}
        for host in hosts:
            assert networks(SERVICES[host]) & networks(service), (name, host)
    assert filled()["networks"].keys() == {each for s in SERVICES.values() for each in networks(s)}


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared() -> None:
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert rest.endswith(":ro")
            elif not source.startswith("/"):
                named.add(source)
    assert named == filled()["volumes"].keys()


def test_no_secret_has_a_value_in_the_file_and_each_is_used_where_it_was_set() -> None:
    for name, described in SERVICES.items():
        for variable, value in (described.get("environment") or {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET", variable):
                assert value.startswith("secret-of-"), (name, variable)
    database = SERVICES["timescaledb"]["environment"]
    for login, service, password in [
        ("kandle", "migrate", "POSTGRES_PASSWORD"),
        ("kandle_sink", "sink", "SINK_DB_PASSWORD"),
        ("kandle_sink", "notifications", "SINK_DB_PASSWORD"),
        ("kandle_serve", "serve", "SERVE_DB_PASSWORD"),
    ]:
        url = f"postgresql://{login}:{database[password]}@timescaledb:5432/kandle"
        assert SERVICES[service]["environment"]["DATABASE_URL"] == url
    assert SERVICES["grafana"]["environment"]["GRAFANA_DB_PASSWORD"] == database["GRAFANA_DB_PASSWORD"]


def test_prometheus_scrapes_each_of_our_processes() -> None:
    scraped = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (found,) = (each["dns_sd_configs"][0] for each in scraped if "dns_sd_configs" in each)
    assert found["port"] == 9100
    assert OURS.keys() - ENDS_BY_ITSELF <= set(found["names"])


def test_filebeat_keeps_the_lines_of_our_processes() -> None:
    beat = yaml.safe_load((ROOT / "infra/docker/filebeat/filebeat.yml").read_text())
    (dropped,) = (each["drop_event"] for each in beat["processors"])
    kept = re.compile(dropped["when"]["not"]["regexp"]["service.name"])
    assert kept.match("kandle-process")
    host = re.fullmatch(r"http://(\w+):9200", beat["output.elasticsearch"]["hosts"][0])
    assert host is not None
    assert "logs" in SERVICES[host[1]]["networks"]
