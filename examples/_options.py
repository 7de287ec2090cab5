"""What the examples have in common: their options, and how they take part of a data set."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import weft


def parser(description: str | None, epochs: int, batch_size: int) -> argparse.ArgumentParser:
    """A parser with the options of every example; each may add its own."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--epochs", type=_positive, default=epochs, help="passes over the data")
    options.add_argument(
        "--batch-size", type=_positive, default=batch_size, help="images per training step"
    )
    options.add_argument(
        "--device",
        type=_device,
        default="auto",
        help="where to train: cpu, cuda or auto",
    )
    options.add_argument("--limit", type=_positive, help="use only this many images of each set")
    options.add_argument("--seed", type=int, default=0, help="the same seed gives the same network")
    return options


def load(load_data: Callable[[], Any], limit: int | None) -> Any:
    """`(x_train, y_train), (x_test, y_test)`, cut to the first `limit` samples of each set."""
    (x_train, y_train), (x_test, y_test) = load_data()
    return (x_train[:limit], y_train[:limit]), (x_test[:limit], y_test[:limit])


def _device(text: str) -> str:
    try:
        weft.config.set_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)
