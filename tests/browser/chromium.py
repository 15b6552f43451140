"""A headless Chromium, spoken to through its debugging pipe (Chrome DevTools Protocol, CDP).

Rules:
- The network is off: every request but for local files goes to a proxy that is not there, and every
  request is written down, whoever refuses it.
- A fresh profile for each browser; the browser ends with its `with` block.
- What the page says on its console, throws, or refuses by policy is kept as a complaint.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--hide-scrollbars",
    "--proxy-server=127.0.0.1:9", "--remote-debugging-pipe", "--window-size=1280,900",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and answers on 4.
PIPED = "import os, sys; os.dup2({}, 3); os.dup2({}, 4); os.execvp(sys.argv[1], sys.argv[1:])"
SECONDS = 60.0


@dataclass
class Page:
    """One open page: what it asked for, what it complained of, and a way to ask it things."""

    send: int
    receive: int
    session: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: bool = False
    _rest: bytes = b""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer; events on the way are kept."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._keep(answer)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, file: Path) -> None:
        """Opens a local file and waits until it has loaded."""
        self.loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self.loaded:
            self._keep(self._next())

    def wait_for(self, expression: str) -> None:
        """Waits until a JavaScript expression holds."""
        end = time.monotonic() + SECONDS
        while not self.ask(expression):
            assert time.monotonic() < end, (expression, self.complaints)
            time.sleep(0.05)

    def picture(self) -> bytes:
        """The whole page, not only what the window shows, as PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.receive], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the browser was silent for {SECONDS:g} s"
            chunk = os.read(self.receive, 1 << 20)
            assert chunk, "the browser closed its pipe"
            self._rest += chunk
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _keep(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                said = (str(a.get("value", a.get("description"))) for a in params["args"])
                self.complaints.append(" ".join(said))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Page.loadEventFired":
                self.loaded = True


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """A browser with one empty page."""
    found = shutil.which("chromium")
    assert found, "no chromium on the path: `make browser` installs it"
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # High numbers, so that neither is 3 or 4 while it is moved there.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (theirs_in, theirs_out)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        mover = [sys.executable, "-c", PIPED.format(*high)]
        browser = subprocess.Popen(
            [*mover, found, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=high,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        page = Page(ours_out, ours_in)
        try:
            _attach(page)
            yield page
        finally:
            with contextlib.suppress(AssertionError, OSError):
                page.session = ""
                page.call("Browser.close")
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            os.close(ours_out)
            os.close(ours_in)


def _attach(page: Page) -> None:
    """Takes hold of a new page and listens to all it does."""
    target = page.call("Target.createTarget", url="about:blank")["targetId"]
    page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime"):
        page.call(f"{domain}.enable")
