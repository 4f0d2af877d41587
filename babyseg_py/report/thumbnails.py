"""Pictures of many sessions, made small enough together."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from babyseg_py.errors import UnusableData

PICTURES_BYTES = 6_000_000
# Width in pixels, which is never more than that of the picture, and WebP quality; from best to smallest.
SETTINGS = (
    (960, 70),
    (800, 65),
    (640, 60),
    (560, 55),
    (480, 50),
    (400, 45),
    (340, 40),
    (280, 35),
    (220, 30),
    (170, 25),
)
SAMPLE = 5
THREADS = 4
Setting = tuple[int, int]


def shrink(paths: list[Path], *, limit: int = PICTURES_BYTES) -> list[tuple[bytes, str]]:
    """Read pictures so that together they take no more than a limit.

    Few pictures are returned as they are. Of many, a sample decides at which width and quality all of them
    fit, and each is written once, as WebP.

    Parameters
    ----------
    paths : list of Path
        PNG files.
    limit : int
        Bytes that all of them may take together; beyond the smallest setting it is not held.

    Returns
    -------
    list of (bytes, str)
        Content and MIME type of each.

    Raises
    ------
    UnusableData
        A file is not a picture.
    """
    setting = fitting(paths, share=limit / max(1, len(paths)))
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(partial(shrunk, setting=setting), paths))


def fitting(paths: list[Path], *, share: float) -> Setting | None:
    """Best setting at which pictures take so many bytes each, judged by a few; None for as they are."""
    if sum(path.stat().st_size for path in paths) <= share * len(paths):
        return None
    sample = [_open(path) for path in paths[:: max(1, len(paths) // SAMPLE)]]
    for width, quality in SETTINGS:
        if sum(len(_webp(image, width, quality)) for image in sample) <= 0.93 * share * len(sample):
            break
    return width, quality


def shrunk(path: Path, setting: Setting | None) -> tuple[bytes, str]:
    """Content and MIME type of a picture, as WebP at a width and quality, or as it is.

    Raises
    ------
    UnusableData
        The file is not a picture.
    """
    image = _open(path)
    return (path.read_bytes(), "image/png") if setting is None else (_webp(image, *setting), "image/webp")


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a picture in pixels."""
    return Image.open(BytesIO(content)).size


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except OSError as problem:
        raise UnusableData(str(path), f"it is not a picture ({problem})", "draw it again") from problem


def _webp(image: Image.Image, width: int, quality: int) -> bytes:
    buffer = BytesIO()
    width = min(width, image.width)
    small = image.resize((width, round(width * image.height / image.width)), Image.Resampling.BOX)
    small.save(buffer, format="WEBP", quality=quality, method=0)
    return buffer.getvalue()
