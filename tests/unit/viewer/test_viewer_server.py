"""Who may ask the viewer's server for what."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from babyseg_py.cli import main
from babyseg_py.viewer.server import make_server
from babyseg_py.viewer.verdicts import read_verdicts

VERDICT = {"participant": "01", "session": "A", "verdict": "fail", "note": "motion"}


@dataclass
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage


@pytest.fixture
def ask(results):
    """Return a function that asks a running server for a place below its secret, or for a whole path."""
    server, viewer = make_server(results)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def asked(place="", *, method="GET", path=None, body=None, **headers) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
        given = {name.replace("_", "-"): words for name, words in headers.items()}
        connection.request(method, path or f"/{viewer.token}/{place}", body=body, headers=given)
        reply = connection.getresponse()
        found = Reply(reply.status, reply.read(), reply.headers)
        connection.close()
        return found

    asked.port, asked.server = server.server_address[1], server
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def post(ask: Callable, said: object = VERDICT, **headers) -> Reply:
    given = {"Content_Type": "application/json"} | headers
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return ask("verdict", method="POST", body=body, **given)


def test_it_listens_on_the_loopback_address_only(ask):
    assert ask.server.server_address[0] == "127.0.0.1"


def test_pages_and_data_with_headers_that_keep_others_out(ask):
    page = ask()
    assert page.status == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in page.body.decode().replace("http-equiv", "")
    for name in ("viewer.js", "slices.js", "surfaces.js", "viewer.css", "sessions.json"):
        assert ask(name).status == 200, name
    session = json.loads(ask("session/01/A").body)
    assert [layer["kind"] for layer in session["layers"]] == ["labels", "uncertainty", "image", "image"]
    assert [mesh["name"] for mesh in session["surfaces"]] == ["Left-Thalamus"]
    volume = ask("volume/01/A/0")
    assert len(volume.body) == 2 * np.prod(session["shape"])
    assert json.loads(volume.headers["X-About"])["high"] == 65535
    assert len(ask("surface/01/A/0").body) == 104


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1"}, {"Host": "127.0.0.1:1"}, {"Origin": "http://evil.example"},
     {"Origin": "null"}],
)  # fmt: skip
def test_another_name_or_site_is_refused(ask, results, headers):
    assert ask(**headers).status in {403, 421}
    assert post(ask, **headers).status in {403, 421}
    assert read_verdicts(results) == {}


@pytest.mark.parametrize("path", ["/", "//", "/guess/sessions.json", "/sessions.json", "/%2e%2e/ledger.tsv"])
def test_without_the_secret_there_is_nothing(ask, path):
    assert ask(path=path).status == 403
    said = json.dumps(VERDICT).encode()
    assert ask(path=path, method="POST", body=said, Content_Type="application/json").status == 403


@pytest.mark.parametrize(
    "place",
    ["ledger.tsv", "../ledger.tsv", "..%2fledger.tsv", "server.py", "session/01/Z", "session/../A",
     "volume/01/A/9", "volume/01/A/-1", "volume/01/A/0/0", "session/01", "surface/01/A/99999999999999999999"],
)  # fmt: skip
def test_no_path_can_be_asked_for(ask, place):
    assert ask(place).status == 404


def test_a_verdict_is_saved_and_shown(ask, results):
    own = f"http://127.0.0.1:{ask.port}"
    assert json.loads(post(ask, Origin=own).body) == {"verdict": "fail", "note": "motion"}
    assert read_verdicts(results) == {("01", "A"): {"verdict": "fail", "note": "motion"}}
    rows = json.loads(ask("sessions.json").body)["sessions"]
    assert [row["verdict"] for row in rows] == ["fail", "", ""]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (VERDICT | {"verdict": "maybe"}, 400),
        (VERDICT | {"participant": "99"}, 400),
        (VERDICT | {"participant": "../01"}, 400),
        (VERDICT | {"note": 3}, 400),
        (VERDICT | {"note": "x" * 1001}, 400),
        ({"verdict": "pass"}, 400),
        ([], 400),
        (b"{", 400),
        (b"[" * 9_000, 400),
        (b"\xff\xfe", 400),
        (b"{}" * 20_000, 413),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(ask, results, said, status):
    assert post(ask, said).status == status
    assert read_verdicts(results) == {}


def test_a_form_of_another_site_cannot_post(ask):
    assert post(ask, Content_Type="text/plain").status == 415
    assert ask("verdict", method="DELETE").status == 501


def test_what_cannot_be_written_is_said_in_words(ask, results):
    (results / "qc_verdicts.tsv").mkdir()
    reply = post(ask)
    assert reply.status == 422
    assert "qc_verdicts.tsv" in json.loads(reply.body)["error"]
    assert "qc_verdicts.tsv" in json.loads(ask("sessions.json").body)["trouble"]


def test_a_broken_volume_is_said_in_words(ask, results):
    path = next(results.rglob("*_desc-uncertainty_map.nii.gz"))
    path.write_bytes(b"no")
    reply = ask("volume/01/A/1")
    assert reply.status == 422
    assert path.name in json.loads(reply.body)["error"]


def test_a_port_that_is_taken(ask, results, capsys):
    assert main(["view", str(results), "--no-browser", "--port", str(ask.port)]) == 2
    assert "leave --port out" in capsys.readouterr().err
