"""What the benchmarks' command lines share: names in options, progress, and results as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def known_names(
    parser: argparse.ArgumentParser, text: str, known: Iterable[str], kind: str
) -> list[str]:
    """The names between the commas, each once; the parser's error for one that is not known."""
    known = list(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        parser.error(f"unknown {kind} {', '.join(unknown)}; known: {', '.join(known)}")
    return list(dict.fromkeys(names))


def say(text: str) -> None:
    """A line of progress, apart from the results on stdout."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
