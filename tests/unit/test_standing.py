"""A server that is asked how the pipeline stands, and is another one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.settings import Settings
from kandle.standing import standing
from schemas.errors import ConfigurationError


@pytest.fixture(params=[[], {"status": "green"}], ids=["list", "health of another"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its address; it answers any question with JSON."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(request.param).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_json_of_a_stranger_is_told_as_such(stranger: str) -> None:
    with pytest.raises(ConfigurationError, match="no health monitor"):
        standing(Settings(), stranger)
