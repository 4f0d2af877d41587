"""A real browser, driven over a pipe (Chrome DevTools Protocol): what a page loads, says and shows."""

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome, None when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One open page.

    Parameters
    ----------
    to_browser, from_browser : int
        File descriptors of the pipe.
    """

    to_browser: int
    from_browser: int
    session: str = ""
    last_id: int = 0
    pending: bytes = b""
    events: list[dict] = field(default_factory=list)

    def call(self, method: str, **params) -> dict:
        """Call a method of the protocol and return its result; events on the way are kept."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self.last_id:
                assert "error" not in reply, reply
                return reply["result"]
            self.events.append(reply)

    def _receive(self) -> dict:
        while b"\0" not in self.pending:
            chunk = os.read(self.from_browser, 1 << 20)
            assert chunk, "the browser is gone"
            self.pending += chunk
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def open(self, page: Path | str, *, width: int = 1200) -> None:
        """Open a file, or an address, and wait until it has loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        url = page if isinstance(page, str) else page.resolve().as_uri()
        self.events = [event for event in self.events if event.get("method") != "Page.loadEventFired"]
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def run(self, script: str):
        """Value of an expression, a promise awaited."""
        reply = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait for a condition of the page; the test's own time limit ends it."""
        self.run(f"new Promise(done => {{ const look = () => ({condition}) ? done(true) : "
                 "requestAnimationFrame(look); look(); })")  # fmt: skip

    def violations(self) -> list[str]:
        """List what axe-core finds serious or critical, for those who use no mouse or no screen."""
        script = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.run(f"{script}; 0")
        found = self.run("axe.run().then(found => JSON.stringify(found.violations))")
        return [
            f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in json.loads(found)
            if one["impact"] in {"serious", "critical"}
        ]

    def complaints(self) -> list[str]:
        """Everything that the page wrote to the console, refused or could not load."""
        kinds = (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Network.loadingFailed",
        )
        return [json.dumps(event["params"])[:500] for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, data URIs left out."""
        asked = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it."""
    executable = find_chromium()
    assert executable, "no Chromium here"
    read_out, write_in = os.pipe()
    read_in, write_out = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read_out, write_out)]
    actions = [(os.POSIX_SPAWN_DUP2, end, place) for end, place in zip(ends, (3, 4), strict=True)]
    actions += [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    command = [executable, *FLAGS, f"--user-data-dir={profile}"]
    process = os.posix_spawn(executable, command, os.environ, file_actions=actions)
    for end in (read_out, write_out, *ends):
        os.close(end)
    try:
        page = Page(write_in, read_in)
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        yield page
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(write_in), os.close(read_in)
