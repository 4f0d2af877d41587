"""What a results folder holds of each session: its scans, labels, uncertainty and surfaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babyseg_py.cohort.problems import nearest
from babyseg_py.cohort.tables import is_missing, read_table
from babyseg_py.errors import UnusableData
from babyseg_py.names import bids_name, is_label, parse_name, scan_label

LEDGER = "ledger.tsv"
UNCERTAINTY = "uncertainty"
SURFACES = ("*_mesh.gii", "*.surf.gii")
_STATUSES = ("failed", "ok")


@dataclass(frozen=True)
class Session:
    """One session of the results.

    Parameters
    ----------
    participant, session : str
        Without prefix.
    status : str
        ``ok``, ``flagged`` or ``failed`` as the ledger has it; empty without a ledger.
    reasons : tuple of str
        What the ledger says of its scans.
    """

    participant: str
    session: str
    status: str
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"sub-{self.participant} ses-{self.session}"


@dataclass(frozen=True)
class Layer:
    """A volume that can be shown.

    Parameters
    ----------
    kind : str
        ``image``, ``labels`` or ``uncertainty``.
    name : str
        Words for it.
    path : Path
        NIfTI file.
    transform : Path or None
        Rigid transform from its space to that of the session; None if it lies there.
    """

    kind: str
    name: str
    path: Path
    transform: Path | None = None


def list_sessions(folder: Path) -> dict[tuple[str, str], Session]:
    """List all sessions, those of the ledger and those that have a folder, by participant and session.

    Raises
    ------
    UnusableData
        The folder is not there, or is not what the pipeline leaves behind.
    """
    if not folder.is_dir():
        raise UnusableData(str(folder), "there is no such folder", "name the folder of --outdir")
    rows = _ledger_rows(folder / LEDGER)
    found = {
        (child.name[4:], visit.name[4:]) for child in folder.glob("sub-*") for visit in child.glob("ses-*")
    }
    keys = {key for key in found if all(map(is_label, key))} | rows.keys()
    if not keys:
        what = f"it holds no results: neither {LEDGER} nor a folder sub-X/ses-Y"
        raise UnusableData(str(folder), what, "name the folder of --outdir")
    return {key: _session(key, rows.get(key, [])) for key in sorted(keys)}


def _ledger_rows(path: Path) -> dict[tuple[str, str], list[dict[str, str]]]:
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    if path.is_file():
        for row in read_table(path, ("participant_id", "session_id", "status")).rows:
            key = row.cells.get("participant_id", ""), row.cells.get("session_id", "")
            if all(map(is_label, key)):
                rows.setdefault(key, []).append(row.cells)
    return rows


def _session(key: tuple[str, str], rows: Sequence[dict[str, str]]) -> Session:
    statuses = {row.get("status", "") for row in rows}
    whole = next((status for status in _STATUSES if statuses == {status}), "flagged" if rows else "")
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not is_missing(row.get("reason", "")):
            words = f"{row.get('status')} at {row.get('step')}: {row['reason']}"
            run = row.get("run", "")
            scan = row.get("suffix", "") if is_missing(run) else f"run-{run}_{row.get('suffix')}"
            reasons.setdefault(words, []).append(scan)
    return Session(*key, whole, tuple(f"{', '.join(scans)} {words}" for words, scans in reasons.items()))


def choose(
    sessions: dict[tuple[str, str], Session], participant: str | None, session: str | None, *, folder: Path
) -> Session:
    """Return the session that is asked for, with or without prefixes; the first one where none is named.

    Raises
    ------
    UnusableData
        There is no such participant or session; the message names the nearest one.
    """
    children = list(dict.fromkeys(key[0] for key in sessions))
    child = (participant or children[0]).removeprefix("sub-")
    if child not in children:
        known = nearest(f"sub-{child}", [f"sub-{name}" for name in children])
        raise UnusableData(str(folder), f"has no participant sub-{child}", known)
    own = [key[1] for key in sessions if key[0] == child]
    name = (session or own[0]).removeprefix("ses-")
    if name not in own:
        known = nearest(f"ses-{name}", [f"ses-{one}" for one in own])
        raise UnusableData(str(folder), f"has no session ses-{name} of sub-{child}", known)
    return sessions[child, name]


def layers(folder: Path, session: Session) -> list[Layer]:
    """Find what can be shown of a session: labels of the whole session first, then images, in order of name.

    Only files whose BIDS name is of this very session are taken.
    """
    anat = _folder(folder, session) / "anat"
    found: list[Layer] = []
    for path in sorted(anat.glob("*.nii.gz")):
        entities = _entities(path, session)
        kind = _kind(entities)
        if kind:
            found.append(_layer(kind, path, entities, session))
    order = {"labels": 1, "image": 2, "uncertainty": 3}
    return sorted(found, key=lambda layer: (layer.transform is not None, order[layer.kind], layer.name))


def surfaces(folder: Path, session: Session) -> list[Path]:
    """Find the surfaces (GIfTI) of a session, anywhere in its folder."""
    base = _folder(folder, session)
    found = {path for pattern in SURFACES for path in base.rglob(pattern)}
    own = (
        path for path in found if path.name.startswith(f"sub-{session.participant}_ses-{session.session}_")
    )
    return sorted(own)


def _folder(folder: Path, session: Session) -> Path:
    return folder / f"sub-{session.participant}" / f"ses-{session.session}"


def _entities(path: Path, session: Session) -> dict:
    try:
        entities = parse_name(path)
    except ValueError:
        return {}
    own = (entities.get("participant"), entities.get("session")) == (session.participant, session.session)
    return entities if own else {}


def _kind(entities: dict) -> str | None:
    if entities.get("suffix") == "dseg":
        return "labels"
    if entities.get("suffix") == "map":
        return "uncertainty" if entities.get("desc") == UNCERTAINTY else None
    return "image" if entities.get("desc") == "n4" else None


def _layer(kind: str, path: Path, entities: dict, session: Session) -> Layer:
    """Say in which space a volume lies: that of the session, or that of one of its scans."""
    space = entities.get("space")
    if kind == "uncertainty" or space == "session":
        words = {"labels": f"all scans ({entities.get('desc', 'labels')})"}.get(kind, "uncertainty")
        return Layer(kind, words, path)
    suffix = str(entities["suffix"] if kind == "image" else space)
    run = entities.get("run")
    name = bids_name(participant=session.participant, session=session.session, run=run, from_=suffix,
                     to="session", mode="image", suffix="xfm", extension=".mat")  # fmt: skip
    words = scan_label(suffix, run)
    words += "" if kind == "image" else " alone"
    transform = path.with_name(name)
    return (
        Layer(kind, words, path, transform)
        if transform.is_file()
        else Layer(kind, f"{words}, not registered", path)
    )
