"""How the pipeline stands: as the server that watches it tells, or by a look of one's own."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any, Final

from pydantic import SecretStr

from infra.embedded.endpoints import Endpoints, EndpointsFile
from infra.settings import Settings
from schemas.errors import ConfigurationError, UnavailableError

TIMEOUT_S: Final = 5.0
PATH: Final = "/api/v1/health/services"
SERVERS: Final = frozenset({"kafka", "postgres"})


def standing(settings: Settings, url: str | None) -> dict[str, Any]:
    """The report of the health monitor (see `serve.health.models.HealthReport`), and how the stages are.

    Besides the report: `asked`, the address of the server that gave it, null where everything was checked
    here; and `stages`, each with name, state, pid, restarts and lag_records, null where it is not known.

    Args:
        settings: Where a server would be.
        url: The server to ask; None: that of the data directory or of the settings.

    Raises:
        UnavailableError: The server that was named does not answer, or nothing runs on the data directory.
        ConfigurationError: The server wants another token, or is none of ours.
    """
    live = EndpointsFile(settings.data_dir).read_live() if url is None else None
    report = asked = None
    if url is not None:
        asked, report = url, _ask(url, settings)
    else:
        if live is None and not settings.kafka.bootstrap_servers:
            raise UnavailableError(
                f"nothing runs on {settings.data_dir}: start it by `kandle up`, name another directory "
                "(--data DIR) or a server (--url URL)"
            )
        address = _address(settings, live)
        try:
            asked, report = address, _ask(address, settings)
        except UnavailableError:
            asked = None
    if report is None:
        from serve.health.single_look import single_look

        report = asyncio.run(single_look(_reached(settings, live)))
    return {**report, "asked": asked, "stages": _stages(live, report["services"])}


def _address(settings: Settings, live: Endpoints | None) -> str:
    """Where a server is, or would be."""
    stage = live.stages.get("serve") if live is not None else None
    if stage is not None and stage.url is not None:
        return stage.url
    host = f"[{settings.serve.host}]" if ":" in settings.serve.host else settings.serve.host
    return f"http://{host}:{settings.serve.port}"


def _ask(url: str, settings: Settings) -> dict[str, Any]:
    token = settings.serve.token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"a server is written like http://127.0.0.1:8765; got {url!r}")
    asked = urllib.request.Request(url.rstrip("/") + PATH, headers=headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                raise ConfigurationError(
                    f"{url} wants its token: set KANDLE_SERVE__TOKEN as for the server"
                ) from None
            raise ConfigurationError(f"{url} has no health monitor: it answers {error.code}") from None
    except ValueError:
        raise ConfigurationError(f"{url} has no health monitor: its answer is no JSON") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UnavailableError(f"{url} does not answer: {reason}") from None
    if not (isinstance(found, dict) and found.keys() >= {"status", "services"}):
        raise ConfigurationError(f"{url} has no health monitor: its answer is no report")
    return found


def _reached(settings: Settings, live: Endpoints | None) -> Settings:
    """The settings, with the servers that run on the data directory where they name none."""
    update: dict[str, object] = {}
    if live is not None and live.kafka is not None and not settings.kafka.bootstrap_servers:
        servers = {"bootstrap_servers": live.kafka.bootstrap_servers}
        update["kafka"] = settings.kafka.model_copy(update=servers)
    if live is not None and live.postgres is not None and not settings.database.url:
        url = SecretStr(live.postgres.dsn)
        update["database"] = settings.database.model_copy(update={"url": url})
    return settings.model_copy(update=update)


def _stages(live: Endpoints | None, services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages by their supervisor where there is one, else by the services that stand for them."""
    lags: dict[str, int] = {}
    states: dict[str, str] = {}
    for service in services:
        name, details = service["name"], (service["last"] or {}).get("details", {})
        if name in {"produce", "process"} or name.startswith("sink-"):
            states[name] = service["status"]
        if isinstance(records := details.get("lag_records"), int):
            stage = "sink" if name.startswith("sink-") else name
            lags[stage] = lags[name] = max(lags.get(stage, 0), records)
    if live is None or not live.stages.keys() - SERVERS:
        return [_stage(name, state, lags.get(name)) for name, state in states.items()]
    return [
        _stage(name, stage.state, lags.get(name), stage.pid, stage.restarts)
        for name, stage in live.stages.items()
    ]


def _stage(
    name: str, state: str, lag_records: int | None, pid: int | None = None, restarts: int | None = None
) -> dict[str, Any]:
    return {"name": name, "state": state, "pid": pid, "restarts": restarts, "lag_records": lag_records}
