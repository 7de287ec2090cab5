"""The progress bar: what it prints on a terminal, in a file, and where nobody listens."""

import io
import sys

import numpy as np
import pytest

from weft.utils import Progbar
from weft.utils import progbar as module


class Clock:
    """A clock that tests set by hand."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    for name in ("NO_COLOR", "PYCHARM_HOSTED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return clock


def listen(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def run_epoch(clock, bar, steps, seconds_per_step, values=()):
    for step in range(1, steps + 1):
        clock.now += seconds_per_step
        bar.update(step, values)


def test_final_line_in_a_file_looks_like_keras(clock, monkeypatch):
    out = listen(monkeypatch, io.StringIO())
    bar = Progbar(469)
    run_epoch(clock, bar, 469, 0.0021, [("accuracy", 0.9012), ("loss", np.float32(0.3211))])
    bars = "━" * 20
    assert out.getvalue() == f"469/469 {bars} 1s 2ms/step - accuracy: 0.9012 - loss: 0.3211\n"


def test_terminal_is_redrawn_ten_times_a_second_at_most(clock, monkeypatch):
    out = listen(monkeypatch, Terminal())
    run_epoch(clock, Progbar(1000), 1000, 0.002, [("loss", 0.5)])
    lines = out.getvalue().split("\r")[1:]
    assert 15 <= len(lines) <= 21  # 2 seconds
    assert out.getvalue().count("\n") == 1
    assert lines[-1].endswith("\n")
    assert "\x1b[1m1000/1000\x1b[0m" in lines[-1]
    assert "━" * 20 in lines[-1]


def test_a_shorter_line_wipes_the_longer_one_out(clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = listen(monkeypatch, Terminal())
    bar = Progbar(10)
    bar.update(1, [("a_long_name", 0.5)])
    bar._sums.clear()
    clock.now += 1
    bar.update(2)
    first, second = out.getvalue().split("\r")[1:]
    assert first == " 1/10 ━━" + "─" * 18 + " 0s 0s/step - a_long_name: 0.5000"
    assert len(second) == len(first)
    assert second.startswith(" 2/10 ━━━━" + "─" * 16)


def test_a_line_wider_than_the_terminal_is_cut_until_the_last(clock, monkeypatch):
    out = listen(monkeypatch, Terminal())
    monkeypatch.setattr(module, "_columns", lambda: 40)
    bar = Progbar(2)
    bar.update(1, [("accuracy", 0.5), ("loss", 0.25)])
    bar.update(2, [("accuracy", 0.5), ("loss", 0.25)])
    first, last = out.getvalue().split("\r")[1:]
    assert len(first) == 39
    assert last.endswith("loss: 0.2500\n")


def test_notebooks_are_redrawn_though_they_are_no_terminal(clock, monkeypatch):
    stream_type = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    out = listen(monkeypatch, stream_type())
    bar = Progbar(2)
    bar.update(1)
    bar.update(2)
    assert out.getvalue().count("\r") == 2


def test_ascii_where_the_encoding_has_no_bars(clock, monkeypatch):
    buffer = io.BytesIO()
    listen(monkeypatch, io.TextIOWrapper(buffer, encoding="latin-1"))
    run_epoch(clock, Progbar(4), 4, 0.5, [("größe", 1.0), ("β", 2.0)])
    assert buffer.getvalue().startswith(b"4/4 ==================== 2s 500ms/step")
    assert "größe: 1.0000 - ?: 2.0000".encode("latin-1") in buffer.getvalue()


def test_verbose_2_is_one_line(clock, monkeypatch):
    out = listen(monkeypatch, Terminal())
    run_epoch(clock, Progbar(3, verbose=2), 3, 2.0, [("loss", 1e-5)])
    assert out.getvalue() == "3/3 - 6s - 2s/step - loss: 1.0000e-05\n"


def test_verbose_0_is_silent(clock, monkeypatch):
    out = listen(monkeypatch, Terminal())
    run_epoch(clock, Progbar(3, verbose=0), 3, 2.0)
    assert out.getvalue() == ""


def test_unknown_target(clock, monkeypatch):
    out = listen(monkeypatch, io.StringIO())
    bar = Progbar(None, unit_name="KB")
    run_epoch(clock, bar, 5, 1e-5)
    assert out.getvalue() == ""
    bar.update(5, finalize=True)
    assert out.getvalue() == "      5/Unknown 0s 10us/KB\n"


def test_time_left_and_first_step_left_out(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = listen(monkeypatch, Terminal())
    bar = Progbar(5000)
    clock.now += 50
    bar.update(1)  # building took long; Keras leaves it out of the estimate, too
    clock.now += 1
    bar.update(2)
    assert " 1:23:18 1s/step" in out.getvalue().split("\r")[-1]
    clock.now += 4898 - 1
    bar.update(4899)
    assert " 1:41 1s/step" in out.getvalue().split("\r")[-1]


def test_values_are_averaged_unless_stateful(clock, monkeypatch):
    def shown(**options):
        out = listen(monkeypatch, Terminal())
        bar = Progbar(10, interval=0, **options)
        bar.update(1, [("a", 1.0), ("b", 1.0)])
        bar.update(4, [("a", 5.0), ("b", 5.0)])
        return out.getvalue().split("\r")[-1].split(" - ")[1:]

    assert shown() == ["a: 4.0000", "b: 4.0000"]  # (1 + 3 * 5) / 4
    assert shown(stateful_metrics=["b"]) == ["a: 4.0000", "b: 5.0000"]
    assert shown(stateless_metrics=["b"]) == ["a: 5.0000", "b: 4.0000"]
    assert shown(stateless_metrics=[]) == ["a: 5.0000", "b: 5.0000"]
    with pytest.raises(ValueError, match="got both of them"):
        Progbar(1, stateful_metrics=[], stateless_metrics=[])


def test_last_update_is_shown_as_it_is(clock, monkeypatch):
    out = listen(monkeypatch, io.StringIO())
    bar = Progbar(2)
    bar.update(1, [("loss", 9.0)])
    bar.update(2, [("loss", 1.0)])
    assert "loss: 1.0000" in out.getvalue()


def test_add(clock, monkeypatch):
    out = listen(monkeypatch, io.StringIO())
    bar = Progbar(7)
    bar.add(3)
    bar.add(4)
    assert out.getvalue().startswith("7/7 ")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError("disk full"), ValueError("closed")])
def test_a_lost_output_silences_the_bar(clock, monkeypatch, error):
    class Lost(Terminal):
        writes = 0

        def write(self, text):
            self.writes += 1
            raise error

    out = listen(monkeypatch, Lost())
    run_epoch(clock, Progbar(50), 50, 1.0)
    assert out.writes == 1


@pytest.mark.parametrize("closed", [True, False])
def test_no_output_at_all(clock, monkeypatch, closed):
    stream = io.StringIO() if closed else None
    if closed:
        stream.close()
    listen(monkeypatch, stream)
    for verbose in (1, 2):
        run_epoch(clock, Progbar(3, verbose=verbose), 3, 1.0)


def test_nan_is_shown(clock, monkeypatch):
    out = listen(monkeypatch, io.StringIO())
    Progbar(1).update(1, [("loss", float("nan"))])
    assert out.getvalue().endswith("loss: nan\n")
