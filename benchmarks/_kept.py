"""Which kept segmentations are those that the package would make now."""

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "babyseg_py"
WITHOUT_NETWORK = {"detectors.py", "quality.py", "calibration.py", "calibration_fit.py"}


def inference_digest(checksum: str) -> str:
    """Name what segmentations depend on: weights, by their checksum, and the code that applies them."""
    digest = hashlib.sha256(checksum.encode())
    for folder in ("images", "models", "segmentation"):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            if path.name not in WITHOUT_NETWORK:
                digest.update(path.read_bytes())
    return f"{checksum[:12]}-{digest.hexdigest()[:8]}"
