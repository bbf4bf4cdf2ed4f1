"""Settings: where they come from, which outweighs which, and what is refused."""

from pathlib import Path

import pytest

from infra.settings import environment_names, load
from schemas.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*environment_names(), "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "KANDLE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_argument_beats_environment_beats_dotenv_beats_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kandle.toml").write_text(
        "[processors]\ngrace_ms = 1\nhold_s = 1\ncheckpoint_interval_s = 1\n"
    )
    (tmp_path / ".env").write_text(
        "KANDLE_PROCESSORS__GRACE_MS=2\nKANDLE_PROCESSORS__HOLD_S=2\nOTHER_PROGRAM=x\n"
    )
    monkeypatch.setenv("KANDLE_PROCESSORS__GRACE_MS", "3")
    found = load().processors
    assert (found.grace_ms, found.hold_s, found.checkpoint_interval_s) == (3, 2, 1)
    assert load(processors={"grace_ms": 4}).processors.grace_ms == 4


def test_the_names_that_the_trade_knows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:tea4two@h/d")
    settings = load()
    assert settings.kafka.bootstrap_servers == "broker:9092"
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://u:tea4two@h/d"
    assert "tea4two" not in settings.model_dump_json()


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_PRODUCER__SYMBOLS", "BTC/USDT, ETH/USDT")
    monkeypatch.setenv("KANDLE_PROCESSORS__SIGNALS", "moving_average_crossover(10,30),other(1, 2)")
    monkeypatch.setenv("KANDLE_PROCESSORS__INDICATORS", '["sma(5)", "rsi(7)"]')
    settings = load()
    assert settings.producer.symbols == ["BTC/USDT", "ETH/USDT"]
    assert settings.processors.signals == ["moving_average_crossover(10,30)", "other(1, 2)"]
    assert settings.processors.indicators == ["sma(5)", "rsi(7)"]


@pytest.mark.parametrize("symbols", ["btcusdt", "BTC/USDT;ETH/USDT", "/USDT", "BTC/", ""])
def test_a_symbol_that_is_none_is_refused(symbols: str) -> None:
    with pytest.raises(ConfigurationError, match=r"producer\.symbols"):
        load(producer={"symbols": symbols})


def test_symbols_are_taken_in_any_case() -> None:
    assert load(producer={"symbols": "btc/usdt"}).producer.symbols == ["BTC/USDT"]


def test_a_broken_list_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_PROCESSORS__INDICATORS", '["sma(5)"')
    with pytest.raises(ConfigurationError, match=r"processors\.indicators"):
        load()


def test_an_unknown_environment_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_PROCESSOR__GRACE_MS", "3")
    with pytest.raises(ConfigurationError, match="KANDLE_PROCESSOR__GRACE_MS"):
        load()


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kandle.toml").write_text("[kafka]\npartitons = 3\n")
    with pytest.raises(ConfigurationError, match=r"kafka\.partitons: no such setting"):
        load()


def test_a_wrong_value_is_named_and_a_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "kandle.toml").write_text('[processors]\ngrace_ms = -1\n[database]\nurl = ["hunter2"]\n')
    with pytest.raises(ConfigurationError) as refused:
        load()
    assert "processors.grace_ms" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_toml_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANDLE_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        load()
    (tmp_path / "broken.toml").write_text("[kafka\n")
    monkeypatch.setenv("KANDLE_CONFIG", str(tmp_path / "broken.toml"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load()
