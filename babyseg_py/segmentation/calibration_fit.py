"""The mathematics of calibration: from cases with a known truth to the numbers of a `Calibration`."""

import numpy as np

BINS = 15
INTERVAL = 0.9
_NEWTON_STEPS = 30


def expected_calibration_error(confidence: np.ndarray, voxels: np.ndarray, right: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over 15 bins of equal width, weighted by their voxels.

    Parameters
    ----------
    confidence : (N,) np.ndarray
        Predicted probability that a label is right, of each group of voxels.
    voxels, right : (N,) np.ndarray
        Number of voxels of each group, and of those whose label is right.

    Returns
    -------
    float
        0 to 1; NaN without voxels.
    """
    _, said, true, weight = reliability(confidence, voxels, right)
    return float(np.sum(weight * np.abs(said - true)) / weight.sum()) if weight.sum() else float("nan")


def reliability(
    confidence: np.ndarray, voxels: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reliability diagram: number, mean confidence, accuracy and voxels of each bin that is not empty."""
    column = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    weight, said, true = (
        np.bincount(column, weights=w, minlength=BINS) for w in (voxels, voxels * confidence, right)
    )
    filled = np.flatnonzero(weight)
    weight, said, true = weight[filled], said[filled], true[filled]
    return filled, said / weight, true / weight, weight


def fit_logistic(columns: np.ndarray, voxels: np.ndarray, right: np.ndarray, *, prior: float) -> np.ndarray:
    """Logistic regression on grouped data by Newton's method.

    Parameters
    ----------
    columns : (N, P) np.ndarray
        Predictors of each group; the second one is the log odds that is to be corrected.
    voxels, right : (N,) np.ndarray
        Size of each group, and how many of it are right.
    prior : float
        Precision of the prior that nothing is to be corrected: coefficients 0, 1, 0, …

    Returns
    -------
    (P,) np.ndarray
        Coefficients.
    """
    trusted = np.zeros(columns.shape[1])
    trusted[1] = 1

    def loss(beta: np.ndarray) -> float:
        odds = columns @ beta
        return float(
            voxels @ np.logaddexp(0, odds) - right @ odds + prior / 2 * np.sum((beta - trusted) ** 2)
        )

    beta = trusted.copy()
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-columns @ beta))
        gradient = columns.T @ (right - voxels * p) - prior * (beta - trusted)
        hessian = (columns * (voxels * p * (1 - p))[:, None]).T @ columns + prior * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        while loss(beta + step) > loss(beta) and np.abs(step).max() > 1e-8:
            step = step / 2
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def fit_shared(columns: np.ndarray, wanted: np.ndarray, *, shared: float, own: float) -> np.ndarray:
    """Ridge regression with coefficients that all structures share, and deviations of each structure.

    Parameters
    ----------
    columns : (N, S, P) np.ndarray
        Of cases and structures, from `calibration.standardise`.
    wanted : (N, S) np.ndarray
        What is to be predicted; NaN is left out.
    shared, own : float
        Penalties of the shared coefficients and of the deviations; intercepts are not penalised.

    Returns
    -------
    (S, P) np.ndarray
        Coefficients of each structure.
    """
    _, structures, width = columns.shape
    known = np.isfinite(wanted)
    # Block arrow system: shared coefficients first, then the deviations of each structure.
    size = width * (1 + structures)
    gram, moment = np.zeros((size, size)), np.zeros(size)
    first = slice(0, width)
    for s in range(structures):
        x, y = columns[known[:, s], s], wanted[known[:, s], s]
        block = slice(width * (1 + s), width * (2 + s))
        xx, xy = x.T @ x, x.T @ y
        gram[first, first] += xx
        gram[first, block] = xx
        gram[block, first] = xx
        gram[block, block] = xx
        moment[first] += xy
        moment[block] = xy
    penalty = np.concatenate([np.full(width, shared), np.full(width * structures, own)])
    penalty[::width] = 1e-3
    solution = np.linalg.solve(gram + np.diag(penalty), moment).reshape(1 + structures, width)
    return solution[0] + solution[1:]


def conformal_quantiles(scores: np.ndarray, level: float = INTERVAL) -> tuple[float, float]:
    """Two order statistics between which a new score lies with a probability of at least the level.

    Parameters
    ----------
    scores : (N,) np.ndarray
        Exchangeable scores; those that are not finite are left out.
    level : float
        Split evenly between both tails.

    Returns
    -------
    low, high : float
        The extremes where there are too few scores for the level.
    """
    scores = np.sort(scores[np.isfinite(scores)])
    tail = (1 - level) / 2
    rank = int(np.floor(tail * (len(scores) + 1)))
    return float(scores[max(rank, 1) - 1]), float(scores[-max(rank, 1)])


def common_limits(values: np.ndarray, *, share: float, margin: float = 1.0) -> np.ndarray:
    """Lower limits, as many standard deviations below each mean, that few rows pass anywhere.

    Parameters
    ----------
    values : (N, S) np.ndarray
        Of sound cases and structures.
    share : float
        Largest share of the cases with any value below its limit.
    margin : float
        Factor by which the distance from the mean to the limit is then widened.

    Returns
    -------
    (S,) np.ndarray
        Limits.
    """
    mean, sd = values.mean(axis=0), values.std(axis=0)
    worst = np.sort(((values - mean) / np.maximum(sd, 1e-9)).min(axis=1))
    allowed = int(np.floor(share * len(values)))
    return mean + margin * (worst[allowed] - 1e-6) * sd
