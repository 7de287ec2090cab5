"""The command `weft` (also `python -m weft`).

Alone it tells how weft was built and what it found on this machine; `weft mnist` trains the course
network on MNIST.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from weft.cli.errors import UsageError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser that answers a bad option with one sentence instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removesuffix('.')}.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: The arguments after the command's name; those of the process when left out.

    Returns:
        The exit status: 0 done, 1 failed, 2 an option had a bad value, 130 interrupted.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # --help, --version, or an error that has been printed
        return stop.code if isinstance(stop.code, int) else 0
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"weft {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone. Python flushes once more at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> _Parser:
    import weft
    from weft.cli import mnist

    parser = _Parser(
        prog="weft",
        description="Train neural networks on hand-written kernels. Without a command: how weft "
        "was built and what it found on this machine.",
    )
    parser.add_argument("--version", action="version", version=f"weft {weft.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    mnist.add_options(
        commands.add_parser(
            "mnist",
            help="train a dense network on all 60,000 MNIST images",
            description="Train a dense network on all 60,000 MNIST images, with RMSprop and "
            "dropout, and measure it on the 10,000 test images.",
        )
    )
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "mnist":
        from weft.cli import mnist

        return mnist.run(arguments)

    from weft.cli import diagnose

    print(diagnose.report())
    return 0
