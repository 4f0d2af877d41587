"""Fit what the certainty of weights is worth, and measure it on cases that it was not fitted on.

    python benchmarks/calibrate.py [--weights F] [--bank runs/labelbank.npz] [--clean N] [--degraded N]
        [--infants N] [--only-made]

Makes visits with a known truth (sound ones, nine kinds of degraded ones, digital infants), segments them with
the weights, fits a calibration on all but the digital infants, writes it (``calibration.json`` beside
``babyseg_py/segmentation/calibration.py``), and writes what was measured to docs/calibration.md. Cases and
what became of them are kept in ``runs/calibration``, so that a run that was ended goes on, and other weights
or code need no new cases. ``--bank`` is the file that ``babyseg train --pack`` makes.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from _kept import inference_digest
from _trust_cases import load_case, make_case, plan, save_case
from _trust_fit import fit
from _trust_records import Record, load_record, make_record, save_record
from _trust_tables import split, write_page

from babyseg_py.models.default import default_weights
from babyseg_py.models.memory import keep_freed_memory
from babyseg_py.segmentation.calibration import FILE, save_calibration
from babyseg_py.segmentation.inference import Segmenter, load_segmenter
from babyseg_py.synthesis.labelbank import load_bank

ROOT = Path(__file__).resolve().parents[1]
Places = list[tuple[str, int]]


def make_cases(places: Places, folder: Path, bank: Path) -> None:
    """Make the cases that are not there yet."""
    missing = [place for place in places if not (folder / _name(*place)).exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if not missing:
        return
    maps = load_bank(bank)
    for kind, number in missing:
        begin = time.monotonic()
        save_case(make_case(kind, number, maps), folder / _name(kind, number))
        print(f"made {kind} {number}: {time.monotonic() - begin:.0f} s", flush=True)


def make_records(places: Places, cases: Path, folder: Path, segmenter: Segmenter) -> list[Record]:
    """Segment the cases that were not segmented yet; return the records of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, number in places:
        path = folder / _name(kind, number)
        if not path.exists():
            begin = time.monotonic()
            record = make_record(load_case(cases / path.name), segmenter)
            save_record(record, path)
            seconds = time.monotonic() - begin
            print(f"{kind} {number}: mean Dice {record.dice.mean():.3f}, {seconds:.0f} s", flush=True)
    return [load_record(folder / _name(*place)) for place in places]


def _name(kind: str, number: int) -> str:
    return f"{kind.replace(' ', '-')}-{number:03d}.npz"


def main() -> None:
    """Make what is missing, fit, and write the numbers and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="the default ones if not given")
    parser.add_argument("--bank", type=Path, default=ROOT / "runs" / "labelbank.npz")
    parser.add_argument("--clean", type=int, default=40, help="sound visits (default 40)")
    parser.add_argument("--degraded", type=int, default=8, help="visits of each degradation (default 8)")
    parser.add_argument("--infants", type=int, default=32, help="scans of digital infants (default 32)")
    parser.add_argument("--only-made", action="store_true", help="take the cases that were segmented before")
    args = parser.parse_args()
    keep_freed_memory()
    segmenter = replace(load_segmenter(args.weights or default_weights()), calibration=None)
    places = plan(args.clean, args.degraded, args.infants)
    folder = ROOT / "runs" / "calibration"
    cases, kept = folder / "cases", folder / inference_digest(segmenter.info.checksum)
    if args.only_made:
        places = [place for place in places if (kept / _name(*place)).exists()]
    make_cases(places, cases, args.bank)
    records = make_records(places, cases, kept, segmenter)
    synthetic, infants = split(records)
    kinds = {kind: sum(r.kind == kind for r in synthetic) for kind in sorted({r.kind for r in synthetic})}
    calibration = fit(synthetic, weights=segmenter.info.checksum, made_from={"visits": kinds})
    save_calibration(calibration, ROOT / "babyseg_py" / "segmentation" / FILE)
    steps = segmenter.info.provenance.get("segment_steps", "?")
    made_by = (
        f"Weights {segmenter.info.checksum[:12]} ({steps} steps), {segmenter.precision}, "
        f"torch {torch.__version__}; "
        f"{len(synthetic)} visits from label maps, {len(infants)} scans of digital infants."
    )
    write_page(records, made_by, ROOT / "docs")


if __name__ == "__main__":
    main()
