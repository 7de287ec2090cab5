"""The programs in examples/ run, on a few hundred digits, and learn something from them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import weft

pytestmark = pytest.mark.long

FOLDER = Path(__file__).resolve().parent.parent / "examples"
SMALL = ["--epochs", "1", "--batch-size", "16", "--limit", "500"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs an example's `main` and returns what it printed."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def call(name, *arguments):
        importlib.import_module(name).main([*SMALL, *arguments])
        return capsys.readouterr().out

    return call


def accuracy(text):
    found = re.search(r"^Test accuracy (0\.\d{4}) on 500 images$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


@pytest.mark.parametrize("network", ["dense", "dense-dropout", "cnn", "cnn-dropout"])
def test_fashion_cnn(run, monkeypatch, network):
    # Fashion-MNIST does not travel with weft; digits have the same shapes.
    monkeypatch.setattr(weft.datasets.fashion_mnist, "load_data", weft.datasets.mnist.load_data)
    text = run("fashion_cnn", "--network", network)
    assert accuracy(text) > 0.4
    assert "conv2d" in text or network.startswith("dense")
    assert re.search(r"^  Ankle boot   [01]\.\d\d$", text, re.MULTILINE)


@pytest.mark.parametrize(("name", "least"), [("mnist_convnet", 0.4), ("row_lstm", 0.2)])
def test_digits(run, name, least):
    assert accuracy(run(name)) > least


def test_autoencoder(run, tmp_path):
    file = tmp_path / "digits.png"
    pytest.importorskip("matplotlib")
    text = run("autoencoder", "--epochs", "3", "--plot", str(file))
    found = re.search(r"^Test loss 0.*, mean squared error (0\.\d{5}) on 500", text, re.MULTILINE)
    assert found
    assert float(found[1]) < 0.09  # black pictures would be at 0.103
    assert file.read_bytes().startswith(b"\x89PNG")


def test_an_example_is_a_program():
    command = [sys.executable, str(FOLDER / "row_lstm.py")]
    help_text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "--batch-size" in help_text.stdout
    result = subprocess.run([*command, "--limit", "0"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "expected a whole number of at least 1, got '0'" in result.stderr
