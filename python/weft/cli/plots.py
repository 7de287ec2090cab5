"""Pictures of a training run: learning curves, and the test images that were judged worst."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.cli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

_ROWS, _COLUMNS = 2, 10


def check_plot_file(path: str) -> None:
    """Finds out, before any training, whether a plot can be written to `path`.

    Raises:
        UsageError: matplotlib is missing, its kind of file is unknown, or the folder cannot be
            written to.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise UsageError(
            "--plot needs matplotlib, which is not installed; install it with: "
            "python -m pip install matplotlib"
        ) from error
    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in kinds:
        raise UsageError(
            f"--plot expects a file ending in one of {', '.join(kinds)}, got {path!r}."
        )
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"--plot expects an existing folder, got {path!r}.")
    if not os.access(folder, os.W_OK) or os.path.isdir(path):
        raise UsageError(f"--plot cannot write to {path!r}.")


def save_report(
    path: str,
    history: Mapping[str, Sequence[float]],
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    probabilities: np.ndarray[Any, Any],
) -> None:
    """Writes one picture with the learning curves and the worst mistakes.

    Args:
        path: The file; its ending chooses the format.
        history: Values per epoch of loss, accuracy, val_loss and val_accuracy, as in `History`.
        images: Test images (N, 28, 28), 0 is background.
        labels: Their digits (N,).
        probabilities: What the network said of them (N, 10).

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 2)).flat
    _draw_curves(upper, history)
    _draw_mistakes(lower, images, labels, probabilities)
    figure.savefig(path, dpi=120)


def worst_mistakes(
    labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any], count: int
) -> np.ndarray[Any, Any]:
    """Returns the indices of up to `count` wrong answers, those that cost the most loss first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    given_to_truth = probabilities[wrong, labels[wrong]]
    return wrong[np.argsort(given_to_truth, kind="stable")[:count]]


def _draw_curves(figure: SubFigure, history: Mapping[str, Sequence[float]]) -> None:
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, what in ((name, "training"), (f"val_{name}", "test")):
            values = history[key]
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=what)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()


def _draw_mistakes(
    figure: SubFigure,
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    probabilities: np.ndarray[Any, Any],
) -> None:
    figure.suptitle("The worst mistakes on the test images: digit → answer (its probability)")
    mistakes = worst_mistakes(labels, probabilities, _ROWS * _COLUMNS)
    grid = figure.subplots(_ROWS, _COLUMNS)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, mistakes, strict=False):
        answer = int(probabilities[index].argmax())
        axes.imshow(images[index], cmap="gray_r", vmin=0, vmax=255)
        share = probabilities[index, answer]
        axes.set_title(f"{labels[index]} → {answer} ({share:.0%})", fontsize=9)
