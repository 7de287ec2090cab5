"""The table of `model.summary()`, laid out as Keras 3 lays it out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from weft import _names

_WIDTH = 88
_NARROWEST = 4


def summary_text(
    model: Any,
    line_length: int | None,
    positions: Sequence[float] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
) -> str:
    """The text that `Model.summary` prints; see there."""
    headers = ["Layer (type)", "Output Shape", "Param #"]
    aligns = ["<", "<", ">"]
    ends = list(positions or (0.45, 0.80, 1.0))
    width = _WIDTH
    if show_trainable:
        headers.append("Trainable")
        aligns.append("^")
        ends = [end * 0.9 for end in ends] + [1.0]
        width += 12
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    widths = _column_widths(width, ends)
    rows = list(_rows(model, _chosen(model.layers, layer_range), expand_nested, show_trainable))
    weights, trainable = model.weights, model.trainable_weights
    return "\n".join(
        [
            f'Model: "{model.name}"',
            *_table(headers, rows, widths, aligns),
            f" Total params: {_count(weights)}",
            f" Trainable params: {_count(trainable)}",
            f" Non-trainable params: {_count(model.non_trainable_weights)}",
        ]
    )


def _column_widths(width: int, ends: Sequence[float]) -> list[int]:
    """Widths between the table's lines, as the `rich` library spreads them for Keras."""
    borders = len(ends) + 1
    wanted = []
    reached = 0
    for end in ends:
        column = max(int(end * width) - reached, _NARROWEST)
        reached += column
        wanted.append(column + 2)  # with a space on either side
    # Too wide by now: every column gives up the same, halves rounded to even.
    excess = max(sum(wanted) - (width - borders), 0)
    widths = []
    for index, column in enumerate(wanted):
        cut = min(column, round(excess / (len(wanted) - index)))
        excess -= cut
        widths.append(max(column - cut, 3))
    return widths


def _chosen(layers: list[Any], layer_range: Sequence[str] | None) -> list[Any]:
    if layer_range is None:
        return layers
    first, last = layer_range
    by_name = {layer.name: index for index, layer in enumerate(layers)}
    begin: int = _names.lookup("layer", first, by_name)
    end: int = _names.lookup("layer", last, by_name)
    return layers[min(begin, end) : max(begin, end) + 1]


def _rows(
    model: Any, layers: Sequence[Any], expand_nested: bool, show_trainable: bool, level: int = 0
) -> Iterator[list[str]]:
    indent = "   " * level + "└ " if level else ""
    for layer in layers:
        shape = model.layer_shape(layer)
        weights = layer.weights
        row = [
            f"{indent}{layer.name} ({type(layer).__name__})",
            "?" if shape is None else f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})",
            f"{_size(weights):,}" if layer.built else "0 (unbuilt)",
        ]
        if show_trainable:
            row.append(("Y" if layer.trainable else "N") if weights else "-")
        yield row
        if expand_nested and hasattr(layer, "layer_shape"):
            yield from _rows(layer, layer.layers, expand_nested, show_trainable, level + 1)


def _table(
    headers: list[str], rows: list[list[str]], widths: list[int], aligns: list[str]
) -> Iterator[str]:
    def rule(left: str, line: str, cross: str, right: str) -> str:
        return left + cross.join(line * width for width in widths) + right

    def lines(cells: list[str], bar: str, at_bottom: bool = False) -> Iterator[str]:
        wrapped = [_wrap(cell, width - 2) for cell, width in zip(cells, widths, strict=True)]
        height = max(map(len, wrapped))
        for index in range(height):
            parts = []
            for texts, width, align in zip(wrapped, widths, aligns, strict=True):
                line = index - (height - len(texts) if at_bottom else 0)
                text = texts[line] if 0 <= line < len(texts) else ""
                parts.append(f" {text:{align}{width - 2}} ")
            yield bar + bar.join(parts) + bar

    yield rule("┏", "━", "┳", "┓")
    yield from lines(headers, "┃", at_bottom=True)
    yield rule("┡", "━", "╇", "┩")
    for index, row in enumerate(rows):
        if index:
            yield rule("├", "─", "┼", "┤")
        yield from lines(row, "│")
    yield rule("└", "─", "┴", "┘")


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at spaces; words that are too long are cut."""
    lines: list[str] = []
    words = text.lstrip().split(" ")
    words[0] = " " * (len(text) - len(text.lstrip())) + words[0]  # the indentation stays
    line = ""
    for word in words:
        if len(word) > width:
            word = word[: width - 1] + "…"
        longer = f"{line} {word}" if line else word
        if len(longer) <= width:
            line = longer
        else:
            lines.append(line)
            line = word
    return [*lines, line]


def _size(weights: Sequence[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in weights)


def _count(weights: Sequence[Any]) -> str:
    """The number of weights and their bytes: `669,706 (2.55 MB)`."""
    size = _size(weights)
    amount: float = 4 * size
    unit = "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1024:
            break
        amount /= 1024
        unit = larger
    return f"{size:,} ({amount:.2f} {unit})"
