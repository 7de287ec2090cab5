"""Keras's progress bar: one line that is redrawn on a terminal, or printed once elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

_BOLD, _GREEN, _GREY, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """Shows how far a loop is, how long it takes, and values such as losses.

    On a terminal and in notebooks the line is redrawn in place; where the output is neither (a
    file, a pipe), only the final line is printed, so logs stay readable. A closed or broken output
    silences the bar and disturbs nothing else.

    Args:
        target: Number of steps expected; None when unknown.
        width: Characters of the bar.
        verbose: 0 silent, 1 a bar, 2 one line at the end.
        interval: Least time between two redraws, in seconds.
        stateful_metrics: Names whose values are shown as they come; all others are averaged over
            the steps they stand for.
        stateless_metrics: The other way round: the names to average, all others are shown as they
            come. An empty list shows everything as it comes.
        unit_name: What one step is called.

    Raises:
        ValueError: Both `stateful_metrics` and `stateless_metrics` are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.1,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        """Starts the clock; draws nothing yet."""
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar expects stateful_metrics or stateless_metrics, got both of them."
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._stateful = set(stateful_metrics or ())
        self._stateless = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, int]] = {}  # name: sum over steps, number of steps
        self._seen = 0
        self._start = time.perf_counter()
        self._first_step_done: float | None = None
        self._last_draw = float("-inf")
        self._drawn_width = 0
        self._output_lost = False

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Takes note of progress, and redraws if it is time to.

        Args:
            current: Number of steps done.
            values: Pairs of a name and the value for the last step (or of the last steps).
            finalize: Whether this is the last update; `current >= target` when left out. The final
                line shows the values of this update as they are.
        """
        now = time.perf_counter()
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._note(name, float(np.mean(value)), max(current - self._seen, 1), finalize)
        self._seen = current
        seconds_per_unit = self._seconds_per_unit(current, now)

        if self.verbose == 2 and finalize:
            self._write(self._summary(current, now, seconds_per_unit) + "\n")
        elif self.verbose == 1:
            live = _is_live(sys.stdout)
            if finalize or (live and now - self._last_draw >= self.interval):
                self._last_draw = now
                self._draw(current, now, seconds_per_unit, live, finalize)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """As `update`, with the number of steps done since the last call."""
        self.update(self._seen + n, values)

    def _note(self, name: str, value: float, steps: int, finalize: bool) -> None:
        averaged = (
            name not in self._stateful if self._stateless is None else name in self._stateless
        )
        if averaged and not finalize:
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value * steps, count + steps)
        else:
            self._sums[name] = (value, 1)

    def _seconds_per_unit(self, current: int, now: float) -> float:
        # The first step carries building and warming up, so it is left out once there are others.
        if current == 1:
            self._first_step_done = now
        if current > 1 and self._first_step_done is not None:
            return (now - self._first_step_done) / (current - 1)
        return (now - self._start) / current if current else 0.0

    def _draw(
        self, current: int, now: float, seconds_per_unit: float, live: bool, finalize: bool
    ) -> None:
        if self.target and not finalize:
            shown_time = _format_remaining(seconds_per_unit * (self.target - current))
        else:
            shown_time = f"{now - self._start:.0f}s"
        tail = f" {_format_pace(seconds_per_unit, self.unit_name)}{self._metrics()}"
        if self.target:
            count = f"{current:{len(str(self.target))}d}/{self.target}"
            done = min(int(self.width * current / self.target), self.width)
        else:
            count, done = f"{current:7d}/Unknown", 0

        full, thin = _bar_characters(sys.stdout)
        colours = live and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        bar = full * done + thin * (self.width - done) if self.target else ""
        line = " ".join(filter(None, (count, bar, shown_time))) + tail
        width = len(line)
        columns = _columns() if live else None
        if columns is not None and not finalize and width >= columns:
            # A line that wraps cannot be redrawn with a carriage return.
            line, width = line[: columns - 1], columns - 1
        elif colours:
            if self.target:
                rest = full if full == "━" else thin  # Keras draws both parts alike, in two colours
                bar = f"{_GREEN}{full * done}{_GREY}{rest * (self.width - done)}{_PLAIN}"
            count, shown_time = f"{_BOLD}{count}{_PLAIN}", f"{_BOLD}{shown_time}{_PLAIN}"
            line = " ".join(filter(None, (count, bar, shown_time))) + tail

        if live:
            line = "\r" + line + " " * max(self._drawn_width - width, 0)
            self._drawn_width = width
        self._write(line + ("\n" if finalize else ""))

    def _summary(self, current: int, now: float, seconds_per_unit: float) -> str:
        count = f"{current}/{self.target}" if self.target else f"{current}"
        pace = _format_pace(seconds_per_unit, self.unit_name)
        return f"{count} - {now - self._start:.0f}s - {pace}{self._metrics()}"

    def _metrics(self) -> str:
        text = ""
        for name, (total, count) in self._sums.items():
            mean = total / max(count, 1)
            text += f" - {name}: {mean:.4f}" if abs(mean) > 1e-3 else f" - {name}: {mean:.4e}"
        return text

    def _write(self, text: str) -> None:
        if self._output_lost or sys.stdout is None:
            return
        # The bar was chosen to fit the encoding; the name of a metric may not.
        encoding = _encoding(sys.stdout)
        text = text.encode(encoding, "replace").decode(encoding)
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (OSError, ValueError):  # a broken pipe, a full disk, a closed file
            self._output_lost = True


def _is_live(stream: Any) -> bool:
    """Whether a carriage return takes the reader back to the start of the line."""
    if "PYCHARM_HOSTED" in os.environ:
        return True
    if type(stream).__module__.startswith("ipykernel"):  # notebooks: no terminal, yet redrawn
        return True
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None, or closed
        return False


def _columns() -> int | None:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (AttributeError, OSError, ValueError):  # no terminal behind it
        return None


def _encoding(stream: Any) -> str:
    return getattr(stream, "encoding", None) or "utf-8"  # None: a StringIO, which takes anything


def _bar_characters(stream: Any) -> tuple[str, str]:
    """The characters for what is done and what is left, in the stream's encoding."""
    try:
        "━─".encode(_encoding(stream))
    except UnicodeEncodeError:
        return "=", "."
    return "━", "─"


def _format_remaining(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    if seconds > 3600:
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if seconds > 60 else f"{int(seconds)}s"


def _format_pace(seconds: float, unit_name: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit_name}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit_name}"
    return f"{seconds * 1e6:.0f}us/{unit_name}"
