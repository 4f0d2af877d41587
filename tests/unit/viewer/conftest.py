"""Fixtures of the viewer's tests."""

from pathlib import Path

import pytest
from tiny_results import write_results


@pytest.fixture
def results(tmp_path) -> Path:
    """Return a tiny results folder."""
    return write_results(tmp_path / "results")
