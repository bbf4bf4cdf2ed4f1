"""Opens pages in headless Chromium and speaks to it as its developer tools do."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
DEADLINE_S = 60.0
CODES = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


def browser() -> str | None:
    """Where Chromium is, if it is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """A browser with one page; what the page's console is told is kept.

    Attributes:
        said: Messages of the console, errors that nobody caught, and requests that were refused.
        asked: Addresses of all that the page has asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self._folder = folder
        self._open = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        executable = browser()
        assert executable is not None
        options = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        )
        local = (
            "--remote-debugging-port=0",
            f"--user-data-dir={self._folder / 'profile'}",
            "--hide-scrollbars",
        )
        self._process = subprocess.Popen(
            [executable, *options, *local, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._folder)},
            start_new_session=True,
        )
        try:
            self._attach()
        except BaseException:
            self._end()
            raise
        return self

    def _attach(self) -> None:
        port, path = self._listening()
        socket = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)
        self._socket = self._open.enter_context(socket)
        target = self._call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in target if each["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("Browser.close")
            self._process.wait(10)
        finally:
            self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._open.close()

    def open(
        self, page: Path | str, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False
    ) -> None:
        """Load a page, a file or an address, in a window of this size."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        deadline = time.monotonic() + DEADLINE_S
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.settle()

    def value(self, expression: str) -> Any:
        """What an expression is worth on the page, awaited if it is a promise."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def settle(self) -> None:
        """Wait until what was asked of the page is drawn."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, key: str, shift: bool = False) -> None:
        """A key, on what has the focus."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        # What the browser itself does with a key, it does by its code.
        code = {"windowsVirtualKeyCode": CODES[key]} if key in CODES else {}
        for kind in ("keyDown", "keyUp"):
            more = code | (text if kind == "keyDown" else {})
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0, **more)
        self.settle()

    def until(self, condition: str, within_s: float = 10.0) -> float:
        """Wait until an expression holds on the page; returns after how many seconds."""
        began = time.monotonic()
        while not self.value(f"Boolean({condition})"):
            waited = time.monotonic() - began
            assert waited < within_s, (
                f"not in time: {condition}; {self.value('document.body.innerText')[:600]}"
            )
            time.sleep(0.02)
        return time.monotonic() - began

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """An event of the mouse: mousePressed, mouseMoved, mouseReleased, mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.settle()

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """An event of fingers: touchStart, touchMove, touchEnd."""
        at = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=at)
        self.settle()

    def print(self, file: Path) -> int:
        """Print the page as PDF; returns how many bytes it has."""
        found = self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
        return file.write_bytes(base64.b64decode(found["data"]))

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the page's developer tools."""
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(DEADLINE_S))
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(f"{given['type']}: {given['args']}")
            case "Runtime.exceptionThrown":
                self.said.append(f"exception: {given['exceptionDetails']}")
            case "Log.entryAdded":
                self.said.append(f"{given['entry']['level']}: {given['entry']['text']}")
            case "Network.webSocketCreated":
                self.asked.append(given["url"])
            case "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])

    def _listening(self) -> tuple[str, str]:
        written = self._folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + DEADLINE_S
        while not written.exists() or written.read_text().count("\n") < 1:
            assert time.monotonic() < deadline, "Chromium did not start"
            assert self._process.poll() is None, "Chromium has ended"
            time.sleep(0.05)
        port, path = written.read_text().split("\n")[:2]
        return port, path
