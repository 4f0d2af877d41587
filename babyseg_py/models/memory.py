"""How this process handles its memory."""

import ctypes


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for what is needed next.

    Large arrays that come and go are otherwise mapped anew each time, which costs a network on two cores
    a fifth to a half of its time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # not glibc: only slower
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    for option, value in ((mmap_threshold, 2**30), (trim_threshold, 2**31 - 1), (top_pad, 2**28)):
        mallopt(option, value)
