"""`weft mnist`: trains a dense network on MNIST and tells how good and how fast it was."""

from __future__ import annotations

import argparse
import time
from typing import Any

import weft
from weft import _core, devices
from weft.cli.errors import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `weft mnist` to its parser."""
    parser.add_argument(
        "--epochs",
        type=_positive,
        default=10,
        metavar="N",
        help="passes over the data (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=_positive,
        default=128,
        metavar="N",
        help="images per step (default: %(default)s)",
    )
    parser.add_argument(
        "--widths",
        type=_widths,
        default="512,512,512",
        metavar="N,N,...",
        help="units of each hidden layer (default: %(default)s)",
    )
    parser.add_argument(
        "--dropout",
        type=_rate,
        default=0.2,
        metavar="RATE",
        help="share of units dropped after each hidden layer (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to train (default: %(default)s, which is the CPU for now)",
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="CPU threads (default: as many as this process may use)",
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="the same seed gives the same network (default: %(default)s)",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw learning curves and the worst mistakes into this file (needs matplotlib)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Trains, measures and reports; returns the exit status.

    Raises:
        UsageError: The device is not there, or the plot cannot be drawn.
    """
    plot = arguments.plot
    if plot is not None:
        from weft.cli.plots import check_plot_file

        check_plot_file(plot)
    _choose_device(arguments.device)
    if arguments.threads is not None:
        weft.config.set_num_threads(arguments.threads)
    weft.utils.set_random_seed(arguments.seed)

    (train_images, y_train), (test_images, y_test) = weft.datasets.mnist.load_data()
    # The pixels stay uint8 in memory, a quarter of float32; Rescaling brings them to [0, 1].
    x_train, x_test = train_images.reshape(-1, 784), test_images.reshape(-1, 784)

    model = build_model(arguments.widths, arguments.dropout)
    sizes = "-".join(str(size) for size in (784, *arguments.widths, 10))
    print(
        f"Training {sizes} on {len(x_train):,} MNIST images: dropout {arguments.dropout:g}, "
        f"RMSprop, batch {arguments.batch_size}, seed {arguments.seed}",
        flush=True,
    )
    stopwatch = Stopwatch()
    history = model.fit(
        x_train,
        y_train,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        # The curves of a plot need the test images after each epoch; nothing is chosen by them.
        validation_data=(x_test, y_test) if plot is not None else None,
        callbacks=[stopwatch],
    )
    _, accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)

    seen = len(x_train) * arguments.epochs
    print(f"\nTest accuracy   {accuracy:.4f} on {len(x_test):,} images")
    print(
        f"Training speed  {seen / stopwatch.seconds:,.0f} images per second "
        f"({seen:,} images in {stopwatch.seconds:.1f} s)"
    )
    print(f"Ran on          {describe_device(weft.config.get_device())}")
    if plot is not None:
        from weft.cli.plots import save_report

        probabilities = model.predict(x_test, batch_size=1000, verbose=0)
        save_report(plot, history.history, test_images, y_test, probabilities)
        print(f"Plot            {plot}")
    return 0


def build_model(widths: tuple[int, ...], dropout: float) -> weft.Sequential:
    """The compiled network: uint8 pixels (N, 784) in, probabilities of the ten digits (N, 10) out.

    Args:
        widths: Units of each hidden layer, all with ReLU.
        dropout: Rate of the dropout after each hidden layer.
    """
    layers = weft.layers
    model = weft.Sequential([weft.Input((784,)), layers.Rescaling(1 / 255)])
    for units in widths:
        model.add(layers.Dense(units, activation="relu"))
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Stopwatch(weft.callbacks.Callback):
    """Adds up the seconds spent training, without those spent on validation between epochs."""

    def __init__(self) -> None:
        """Starts at 0 s."""
        super().__init__()
        self.seconds = 0.0
        self._started: float | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stops it where the epoch's validation begins."""
        self._stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops it, unless validation has."""
        self._stop()

    def _stop(self) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None


def describe_device(device: str) -> str:
    """Names what the training ran on, e.g. `CPU (AMD EPYC 9R14), avx512, 2 threads`."""
    if device != "cpu":
        return f"{device} ({devices.describe(device)})"
    info = _core.cpu_info()
    threads = info["threads"]
    return (
        f"{device.upper()} ({info['cpu_name'] or 'unknown processor'}), {info['isa']}, "
        f"{threads} thread{'' if threads == 1 else 's'}"
    )


def _choose_device(wanted: str) -> None:
    if wanted == "cuda" and len(weft.config.list_devices()) == 1:
        raise UsageError(f"--device cuda is not available here: {devices.cuda_reason()}.")
    weft.config.set_device(wanted)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {2**32 - 1}, got {text!r}"
        )
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1:
        raise argparse.ArgumentTypeError(f"expected a rate from 0 to below 1, got {text!r}")
    return rate


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) < 2**31 for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected whole numbers of at least 1 with commas between, got {text!r}"
        )
    return tuple(int(part) for part in parts)
