"""What may be chosen for a run of the network: read by the command line without loading torch."""

from collections.abc import Sequence

from babyseg_py.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise `UsageError` if a value is none of the choices."""
    if value not in choices:
        raise UsageError(f"{name} {value!r} is not known: choose {', '.join(choices)}")
