"""How often rank correlations reject without an effect, and how often their intervals hold the truth.

The figures of docs/statistics.md: ``python benchmarks/bench_associations.py [RUNS]`` (2,000 by default).
"""

import sys
from itertools import product

import numpy as np

from babyseg_py.statistics.partial import partial_spearman


def sample(
    rng: np.random.Generator, n: int, *, k: int, share: float, effect: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw x, y and k covariates that explain a share of both; what is left correlates by ``effect``."""
    covariates = rng.normal(size=(n, k))
    common = np.sqrt(share / (1 - share) / k) * covariates.sum(axis=1)
    x, noise = rng.normal(size=(2, n))
    return common + x, common + effect * x + np.sqrt(1 - effect**2) * noise, covariates


def follow_age(
    rng: np.random.Generator, n: int, *, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a volume and a raw score that follow age over two years along unlike curves, and age."""
    months = rng.uniform(0.5, 24, n)
    along = np.log1p(months)
    x = 1 + 0.5 * along + 0.36 * noise * rng.normal(size=n)
    return x, 20 + 6 * along**1.3 + 1.41 * noise * rng.normal(size=n), months[:, None]


def main() -> None:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rng = np.random.default_rng(1)
    print("explained\tcovariates\tn\tp<.05 without effect")
    for share in (0.2, 0.5, 0.8):
        for k in (1, 2, 3):
            for n in (15, 25, 50, 200):
                draws = (sample(rng, n, k=k, share=share, effect=0) for _ in range(runs))
                print(share, k, n, np.mean([partial_spearman(*d).p < 0.05 for d in draws]), sep="\t")
    print("age explains\tn\tp<.05 without effect")
    for noise in (1.5, 1.0, 0.4):
        for n in (20, 40, 80, 160, 400):
            results = [partial_spearman(*follow_age(rng, n, noise=noise)) for _ in range(runs)]
            explained = round(np.mean([r.explained for r in results]), 2)
            print(explained, n, np.mean([r.p < 0.05 for r in results]), sep="\t")
    print("explained\ttrue rho\tn\tinterval holds it")
    for share, effect in product((0.2, 0.7), (0.3, 0.5, 0.7)):
        truth = partial_spearman(*sample(rng, 200_000, k=2, share=share, effect=effect)).rho
        for n in (15, 30, 100):
            draws = (sample(rng, n, k=2, share=share, effect=effect) for _ in range(runs))
            covered = np.mean([r.ci_low <= truth <= r.ci_high for r in (partial_spearman(*d) for d in draws)])
            print(share, round(truth, 3), n, covered, sep="\t")


if __name__ == "__main__":
    main()
