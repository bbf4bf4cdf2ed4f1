"""Namespaces: what names become, and that nothing keeps a name of another one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from infra.settings import Settings
from infra.settings.loading import load
from schemas.errors import ConfigurationError
from schemas.namespace import LIVE, Namespace
from schemas.topics import BY_BASE_NAME, TOPICS, TRADES, prefix_of, topic_of

PACKAGES = ("schemas", "infra", "producers", "processors", "sinks", "backtest", "serve", "kandle")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, whose namespace is still open."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_names_without_a_namespace_are_those_of_the_contract() -> None:
    assert TRADES.name == "market.trades.v1"
    assert TRADES.dead_letter_name == "market.trades.v1.dlq"
    assert LIVE.name_of("kandle-timescale") == "kandle-timescale"
    assert (LIVE.schema, LIVE.views_schema) == ("kandle", "public")


def test_a_topic_of_another_namespace_is_named_explicitly() -> None:
    other = TRADES.in_namespace("r1")
    assert other.name == "r1.market.trades.v1"
    assert other.dead_letter_name == "r1.market.trades.v1.dlq"
    assert other.in_namespace("").name == TRADES.name == "market.trades.v1"
    assert (other.records, other.retention_ms) == (TRADES.records, TRADES.retention_ms)
    assert Namespace("r1").schema == Namespace("r1").views_schema == "kandle_r1"


def test_a_name_is_led_back_to_its_topic() -> None:
    assert topic_of("market.trades.v1") is TRADES
    with pytest.raises(KeyError):
        topic_of("r1.market.trades.v1")
    assert Namespace("r1").base_name_of("r1.market.trades.v1") == "market.trades.v1"
    assert Namespace("r1").base_name_of("r10.market.trades.v1") is None
    assert prefix_of("r1.market.trades.v1") == prefix_of("r1.market.trades.v1.dlq") == "r1"
    assert prefix_of("market.trades.v1") == prefix_of("orders.of.mine") == ""


@pytest.mark.parametrize("prefix", ["r 1", "r.1", "-r", "_r", "r" * 33, 'r"1', "é", "r1\n", "r/1"])
def test_what_cannot_stand_in_names_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="letters, digits, - and _"):
        Namespace(prefix)


@pytest.mark.parametrize("prefix", ["market", "Market", "system", "kandle"])
def test_how_live_names_begin_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a namespace"):
        Namespace(prefix)


def test_no_live_name_looks_like_one_of_a_namespace() -> None:
    for topic in TOPICS:
        with pytest.raises(ConfigurationError):
            Namespace(topic.base_name.partition(".")[0])
        assert prefix_of(topic.base_name) == prefix_of(topic.base_name + ".dlq") == ""
    assert len(BY_BASE_NAME) == len(TOPICS)


def test_a_wrong_namespace_in_the_settings_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_NAMESPACE", "a.b")
    with pytest.raises(ConfigurationError, match=r"namespace: .*got 'a\.b'"):
        load()


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What a process says that imports every module, and then loads settings with a namespace."""
    code = (
        "import importlib, pkgutil, schemas.namespace as n\n"
        f"for package in {PACKAGES!r}:\n"
        "    root = importlib.import_module(package)\n"
        "    for module in pkgutil.walk_packages(root.__path__, package + '.'):\n"
        "        if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "        if n._entered is not None: raise SystemExit(module.name + ' keeps a name')\n"
        "from infra.settings import load; load()\n"
        "from schemas.topics import TRADES, topic_of; print(TRADES.name, topic_of(TRADES.name) is TRADES)\n"
        "from processors.engine.app import changelog, group_of; from sinks.intake import group_of as sink\n"
        "print(group_of(load()), changelog(load()).name, sink('timescale'))\n"
        "try: load(namespace='r2')\n"
        "except Exception as error: print(error)\n"
        "from sinks.database import application_name; from sinks.schema import lock_key\n"
        "from schemas.topics import name_here\n"
        "named = [name_here(name) for name in ('market.trades.v1.dlq', 'mine')]\n"
        "print(application_name('sink-x'), lock_key(5) != 5, *named)\n"
        "from sinks.registry import Parts, make\n"
        "for name in ('archive', 'cache'):\n"
        "    try: make([name], Parts(load(), None, None, None))\n"
        "    except Exception as error: print(error)"
    )
    ran = run(code, KANDLE_NAMESPACE="r1")
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.splitlines()


def test_no_module_takes_a_name_when_it_is_imported(told: list[str]) -> None:
    assert told[0] == "r1.market.trades.v1 True"


def test_settings_fix_the_namespace_of_a_process(told: list[str]) -> None:
    assert told[1].split() == ["r1.kandle", "r1.kandle-checkpoints-changelog", "r1.kandle-timescale"]
    assert "has used the names of r1 and cannot change to r2" in told[2]


def test_what_two_sets_share_on_a_server_has_names_of_its_own(told: list[str]) -> None:
    assert told[3].split() == ["kandle-sink-x@r1", "True", "r1.market.trades.v1.dlq", "mine"]


def test_what_keeps_the_live_run_does_not_run_in_a_namespace(told: list[str]) -> None:
    assert [line.partition(" keeps")[0] for line in told[4:]] == ["the sink archive", "the sink cache"]


def test_a_name_that_was_used_before_the_settings_is_noticed() -> None:
    code = (
        "from schemas.topics import TRADES\nTRADES.name\nfrom infra.settings import load\n"
        "try: load()\nexcept Exception as error: print(type(error).__name__, error)"
    )
    told = run(code, KANDLE_NAMESPACE="r1").stdout
    assert told.startswith("ConfigurationError")
    assert "cannot change to r1" in told


def test_the_namespace_of_settings_that_were_not_loaded_changes_nothing() -> None:
    assert Settings(namespace="r1").namespace == "r1"
    assert TRADES.name == "market.trades.v1"
