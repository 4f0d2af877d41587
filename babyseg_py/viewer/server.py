"""The viewer's server: this machine only, one secret address, no path that a client can name."""

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from babyseg_py.errors import UnusableData
from babyseg_py.labels.table import STRUCTURES
from babyseg_py.viewer.dataset import Session, layers, list_sessions, surfaces
from babyseg_py.viewer.grid import display_grid, on_grid
from babyseg_py.viewer.meshes import mesh_name, read_mesh
from babyseg_py.viewer.verdicts import LONGEST_NOTE, read_verdicts, save_verdict

ADDRESS = "127.0.0.1"
LONGEST_REQUEST = 16_384
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGES = {
    "": ("viewer.html", "text/html; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "slices.js": ("slices.js", "text/javascript; charset=utf-8"),
    "surfaces.js": ("surfaces.js", "text/javascript; charset=utf-8"),
}
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Viewer:
    """What is served.

    Parameters
    ----------
    folder : Path
        The results.
    sessions : dict
        All sessions, from `list_sessions`; only these can be asked for.
    token : str
        Secret first part of every address.
    """

    folder: Path
    sessions: dict[tuple[str, str], Session]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    writing: Any = field(default_factory=Lock)


@dataclass(frozen=True)
class Answer:
    """What goes back to the browser."""

    content: bytes
    kind: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)


def make_server(folder: Path, *, port: int = 0) -> tuple[ThreadingHTTPServer, Viewer]:
    """Open a port on the loopback address; nothing is answered before ``serve_forever``.

    Parameters
    ----------
    folder : Path
        The results.
    port : int
        0 takes a free one.

    Raises
    ------
    UnusableData
        The folder holds no results.
    OSError
        The port is taken.
    """
    viewer = Viewer(folder, list_sessions(folder))
    server = ThreadingHTTPServer((ADDRESS, port), partial(_Handler, viewer))
    server.daemon_threads = True
    return server, viewer


class _Handler(BaseHTTPRequestHandler):
    """Checks who asks, then answers."""

    server_version = "babyseg"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, viewer: Viewer, *args: Any):
        self.viewer = viewer
        super().__init__(*args)

    def do_GET(self) -> None:
        self._reply(partial(get, self.viewer))

    def do_POST(self) -> None:
        self._reply(self._post)

    def log_message(self, *args: Any) -> None:
        """Say nothing: the address holds the secret."""

    def _reply(self, answer: Callable[[str], Answer]) -> None:
        refusal = self._refusal()
        try:
            made = refusal or answer(self._place())
        except UnusableData as problem:
            made = told(HTTPStatus.UNPROCESSABLE_ENTITY, str(problem))
        if made.status != HTTPStatus.OK:
            self.close_connection = True  # What was posted may not have been read.
        self.send_response(made.status)
        own = {"Content-Type": made.kind, "Content-Length": str(len(made.content))}
        for name, value in (HEADERS | own | made.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(made.content)

    def _place(self) -> str:
        return urlsplit(self.path).path.removeprefix(f"/{self.viewer.token}/")

    def _refusal(self) -> Answer | None:
        """Refuse another host name (a site that points its name here) and an address without the secret."""
        port = self.server.server_port  # type: ignore[attr-defined]
        hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
        if self.headers.get("Host", "") not in hosts:
            return told(HTTPStatus.MISDIRECTED_REQUEST, "ask 127.0.0.1 with the port of this viewer")
        token = urlsplit(self.path).path.split("/")[1:2]
        if not token or not secrets.compare_digest(token[0].encode(), self.viewer.token.encode()):
            return told(HTTPStatus.FORBIDDEN, "use the address that babyseg view printed")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in hosts:
            return told(HTTPStatus.FORBIDDEN, "asked by another site")
        return None

    def _post(self, place: str) -> Answer:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_REQUEST:
            return told(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long")
        if self.headers.get_content_type() != "application/json":
            return told(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        return post(self.viewer, place, self.rfile.read(int(length)))


def get(viewer: Viewer, place: str) -> Answer:
    """Answer a question for a page, the list of sessions, a session, one of its volumes or surfaces."""
    if place in PAGES:
        name, kind = PAGES[place]
        return Answer(files("babyseg_py.viewer").joinpath(name).read_bytes(), kind)
    if place == "sessions.json":
        return _json(_overview(viewer))
    what, *names = place.split("/")
    session = viewer.sessions.get((names[0], names[1])) if len(names) >= 2 else None
    if session is None:
        return told(HTTPStatus.NOT_FOUND, "there is no such session")
    if what == "session" and len(names) == 2:
        return _json(_session(viewer, session))
    if what in {"volume", "surface"} and len(names) == 3 and names[2].isdecimal() and len(names[2]) < 5:
        return (_volume if what == "volume" else _surface)(viewer, session, int(names[2]))
    return told(HTTPStatus.NOT_FOUND, "there is nothing here")


def post(viewer: Viewer, place: str, body: bytes) -> Answer:
    """Save a verdict."""
    if place != "verdict":
        return told(HTTPStatus.NOT_FOUND, "there is nothing here")
    try:
        said = json.loads(body)
        words = [said[name] for name in ("participant", "session", "verdict", "note")]
        if not all(isinstance(word, str) for word in words) or (words[0], words[1]) not in viewer.sessions:
            raise ValueError("there is no such session")
        with viewer.writing:
            save_verdict(viewer.folder, words[0], words[1], verdict=words[2], note=words[3])
    except (ValueError, KeyError, TypeError, RecursionError) as problem:  # the last from [[[[…
        return told(HTTPStatus.BAD_REQUEST, str(problem))
    return _json(read_verdicts(viewer.folder).get((words[0], words[1]), {"verdict": "", "note": ""}))


def told(status: HTTPStatus, words: str) -> Answer:
    """Answer with words."""
    return Answer(json.dumps({"error": words}).encode(), JSON, status)


def _json(content: object) -> Answer:
    return Answer(json.dumps(content).encode())


def _overview(viewer: Viewer) -> dict:
    trouble = ""
    try:
        verdicts = read_verdicts(viewer.folder)
    except UnusableData as problem:
        verdicts, trouble = {}, str(problem)
    rows = [
        asdict(one) | verdicts.get(key, {"verdict": "", "note": ""}) for key, one in viewer.sessions.items()
    ]
    structures = {str(s.id): {"name": s.name, "colour": s.colour} for s in STRUCTURES if s.id}
    return {"folder": viewer.folder.resolve().name, "sessions": rows, "structures": structures,
            "trouble": trouble, "longest_note": LONGEST_NOTE}  # fmt: skip


def _session(viewer: Viewer, session: Session) -> dict:
    found = layers(viewer.folder, session)
    shown = [{"kind": layer.kind, "name": layer.name} for layer in found]
    meshes = [
        dict(zip(("name", "colour"), mesh_name(path), strict=True))
        for path in surfaces(viewer.folder, session)
    ]
    if not found:
        return {"layers": [], "surfaces": meshes, "shape": None}
    grid = display_grid(found[0])
    size, origin = float(grid.affine[0, 0]), grid.affine[:3, 3].tolist()
    return {"layers": shown, "surfaces": meshes, "shape": grid.shape, "voxel_mm": size, "origin_mm": origin}


def _volume(viewer: Viewer, session: Session, number: int) -> Answer:
    found = layers(viewer.folder, session)
    if number >= len(found):
        return told(HTTPStatus.NOT_FOUND, "there is no such volume")
    shown = on_grid(found[number], display_grid(found[0]))
    about = {"low": shown.low, "high": shown.high, "window": shown.window}
    return Answer(shown.to_bytes(), BYTES, headers={"X-About": json.dumps(about)})


def _surface(viewer: Viewer, session: Session, number: int) -> Answer:
    found = surfaces(viewer.folder, session)
    if number >= len(found):
        return told(HTTPStatus.NOT_FOUND, "there is no such surface")
    return Answer(read_mesh(found[number]).to_bytes(), BYTES)
