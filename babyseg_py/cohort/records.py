"""One record per scan: what every later step knows of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from babyseg_py.cohort.ages import Age
from babyseg_py.errors import UnusableData
from babyseg_py.names import scan_id, scan_label, visit_id


@dataclass(frozen=True)
class Record:
    """A scan with all that its row says; labels without prefix.

    Parameters
    ----------
    row : int
        The line in the samplesheet, its header being line 1.
    participant_id, session_id, suffix : str
        Who, when, which contrast.
    run : int or None
        Number of a repeat scan.
    image : str
        Absolute path or URI; empty if the row's was at fault.
    age : Age or None
        The age at the visit.
    sex, site, group : str or None
        Covariates.
    dseg : str or None
        Absolute path or URI of a reference segmentation of the visit.
    gestation_days : float or None
        Gestation at birth, where the child's ages since birth and since conception tell it.
    """

    row: int
    participant_id: str
    session_id: str
    suffix: str
    run: int | None
    image: str
    age: Age | None = None
    sex: str | None = None
    site: str | None = None
    group: str | None = None
    dseg: str | None = None
    gestation_days: float | None = None

    @cached_property
    def scan_id(self) -> str:
        """The scan's id, such as ``sub-01_ses-A_run-2_T1w``."""
        return scan_id(self.participant_id, self.session_id, self.suffix, self.run)

    @property
    def scan_label(self) -> str:
        """The scan within its visit, such as ``run-2_T1w``."""
        return scan_label(self.suffix, self.run)

    @cached_property
    def visit_id(self) -> str:
        """The visit's id, such as ``sub-01_ses-A``."""
        return visit_id(self.participant_id, self.session_id)

    def as_json(self) -> dict:
        """Return the record as ``records.json`` holds it."""
        age = self.age
        return {
            "row": self.row,
            "participant_id": self.participant_id,
            "session_id": self.session_id,
            "run": self.run,
            "suffix": self.suffix,
            "image": self.image,
            "age_value": age.value if age else None,
            "age_unit": age.unit if age else None,
            "age_reference": age.reference if age else None,
            "age_days": age.days if age else None,
            "gestation_days": self.gestation_days,
            "sex": self.sex,
            "site": self.site,
            "group": self.group,
            "dseg": self.dseg,
            "scan_id": self.scan_id,
            "visit_id": self.visit_id,
        }


def to_json(
    records: Iterable[Record],
    phenotype: dict,
    verdicts: Iterable[dict] = (),
    raters: Iterable[dict] = (),
    *,
    notes: Iterable[str] = (),
) -> str:
    """Return the text of ``records.json``."""
    content = {"records": [record.as_json() for record in records], "phenotype": phenotype}
    content |= {"verdicts": list(verdicts), "raters": list(raters), "notes": list(notes)}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_records(path: Path | str) -> dict:
    """Read ``records.json`` with its keys ``records`` and ``phenotype``.

    Raises
    ------
    UnusableData
        The file is absent or is not what ``babyseg check`` writes.
    """
    advice = "make it with: babyseg check SHEET -o records.json"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableData(str(path), f"the records cannot be read ({error})", advice) from None
    if not isinstance(content, dict) or not isinstance(content.get("records"), list):
        raise UnusableData(str(path), "there is no list of records in it", advice)
    return content
