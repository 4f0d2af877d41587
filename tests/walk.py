"""A walk through finished results."""

import json
from pathlib import Path


def undescribed(folder: Path) -> list[str]:
    """List the tables without data dictionary and the columns without description."""
    found = []
    for table in sorted(folder.rglob("*.tsv")):
        place, beside = table.relative_to(folder), table.with_suffix(".json")
        if not beside.is_file():
            found.append(f"{place}: no dictionary")
            continue
        words = json.loads(beside.read_text(encoding="utf-8"))
        header = table.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        found += [f"{place}: {name}" for name in header if not words.get(name, {}).get("Description")]
    return found
