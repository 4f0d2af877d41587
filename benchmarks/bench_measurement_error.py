"""Coverage and false positives of associations whose volumes are measured with error: plain and imputed."""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "statistics"))
from measured_study import coverage, true_rho


def main() -> None:
    """Print a row per setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    print("n\treliability\ttrue rho\tway\tcoverage\twidth\tmean rho\tp < .05")
    for n, reliability in ((30, 0.7), (30, 0.9), (100, 0.7)):
        for r in (0.0, 0.5):
            found = coverage(np.random.default_rng(1), args.runs, n, r, reliability)
            for way, numbers in zip(("as known", "imputed"), found, strict=True):
                cells = "\t".join(f"{x:.3f}" for x in numbers)
                print(f"{n}\t{reliability}\t{true_rho(r):.3f}\t{way}\t{cells}", flush=True)


if __name__ == "__main__":
    main()
