"""The command: its diagnosis, its training run, its plot, and its answers to bad options."""

import re
import subprocess
import sys

import numpy as np
import pytest

import weft
from weft import _core, devices
from weft.cli import diagnose, main, mnist, plots

pytestmark = pytest.mark.cpu

FAST = ["mnist", "--epochs", "1", "--widths", "16", "--batch-size", "256"]


def weft_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "weft", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_diagnosis_tells_what_was_found_and_chosen():
    result = weft_command()
    assert (result.returncode, result.stderr) == (0, "")
    info = _core.cpu_info()
    text = " ".join(result.stdout.split())
    assert text.startswith(f"weft {weft.__version__} ")
    for key in ("isa", "isa_reason", "threads_reason", "cuda_build", "compiler", "flags"):
        assert " ".join(str(info[key]).split()) in text
    for name in info["isas_built"] + info["isas_found"]:
        assert name in text
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_diagnosis_is_aligned(monkeypatch):
    info = {
        "isas_built": ["baseline", "avx2"],
        "isas_found": [],
        "isa": "baseline",
        "isa_reason": "WEFT_ISA=baseline",
        "threads": 2,
        "threads_reason": "the CPUs this process may use",
        "compiler": "gcc 12.2.0",
        "flags": "-O2 " * 40,
        "build_type": "Release",
        "cpu_name": "",
        "cuda_build": "nvcc was not found",
    }
    monkeypatch.setattr(_core, "cpu_info", lambda: info)
    monkeypatch.setattr(devices, "_cuda", lambda: (None, 0, "not built (nvcc was not found)"))
    text = diagnose.report()
    assert "  Instruction sets  built: baseline, avx2\n" in text
    assert "                    found on this machine: none\n" in text
    assert "                    used: baseline (WEFT_ISA=baseline)\n" in text
    assert "  Threads           2 (the CPUs this process may use)\n" in text
    assert "  CUDA              not built (nvcc was not found)\n" in text
    assert "  Processor         unknown\n" in text
    body = text.splitlines()[1:-1]
    assert all(line[18:20] == "  " and line[20] != " " for line in body)
    assert max(map(len, body)) <= 92


def test_diagnosis_of_a_gpu(monkeypatch):
    class Module:
        def describe(self, index):
            return f"a card, number {index}"

    architectures = ", ".join(f"sm_{i}" for i in range(70, 90))
    info = {**_core.cpu_info(), "cuda_build": f"nvcc 13.0.88 for {architectures}"}
    monkeypatch.setattr(_core, "cpu_info", lambda: info)
    monkeypatch.setattr(devices, "_cuda", lambda: (Module(), 2, ""))
    text = diagnose.report()
    assert "  CUDA              built with nvcc 13.0.88 for sm_70, sm_71, " in text
    assert f"built with {info['cuda_build']} " in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 92
    assert "                    cuda:0: a card, number 0\n" in text
    assert "                    cuda:1: a card, number 1\n" in text


def test_diagnosis_into_a_closed_pipe_is_quiet():
    process = subprocess.Popen(
        [sys.executable, "-m", "weft"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # nobody reads, as after `| head -0`
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert errors == b""


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"weft {weft.__version__}\n"
    assert main(["mnist", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "units of each hidden layer (default: 512,512,512)" in text


def test_mnist_trains_and_reports(capsys):
    before = weft.config.get_num_threads()
    try:
        assert main([*FAST, "--threads", "1"]) == 0
    finally:
        weft.config.set_num_threads(before)
    out = capsys.readouterr().out
    assert out.startswith("Training 784-16-10 on 60,000 MNIST images: dropout 0.2, RMSprop, ")
    assert "235/235 " in out  # steps of one epoch at batch 256
    accuracy = re.search(r"^Test accuracy   (0\.\d{4}) on 10,000 images$", out, re.MULTILINE)
    assert float(accuracy[1]) > 0.8
    speed = r"^Training speed  [\d,]+ images per second \(60,000 images in [\d.]+ s\)$"
    assert re.search(speed, out, re.MULTILINE)
    assert re.search(r"^Ran on          \w+ \(.+\), \w+, 1 thread$", out, re.MULTILINE)


def test_mnist_trains_the_course_network_on_bytes(monkeypatch):
    class StopError(Exception):
        pass

    seen = {}

    def fit(model, x, y, **options):
        seen.update(model=model, x=x, y=y, **options)
        raise StopError

    monkeypatch.setattr(weft.Sequential, "fit", fit)
    with pytest.raises(StopError):
        main(["mnist"])
    assert (seen["x"].dtype, seen["x"].shape) == (np.uint8, (60000, 784))
    assert (seen["batch_size"], seen["epochs"], seen["validation_data"]) == (128, 10, None)
    layers = seen["model"].layers
    dense = [layer for layer in layers if isinstance(layer, weft.layers.Dense)]
    dropout = [layer for layer in layers if isinstance(layer, weft.layers.Dropout)]
    assert [layer.units for layer in dense] == [512, 512, 512, 10]
    assert [layer.rate for layer in dropout] == [0.2, 0.2, 0.2]
    assert isinstance(layers[0], weft.layers.Rescaling)
    assert seen["model"].count_params() == 784 * 512 + 2 * 512 * 512 + 512 * 10 + 3 * 512 + 10


def test_plot(tmp_path, capsys):
    path = tmp_path / "run.png"
    assert main([*FAST, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "val_accuracy" in out
    assert f"Plot            {path}\n" in out


def test_worst_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5]])
    labels = np.array([1, 1, 1, 0, 0], np.uint8)
    assert plots.worst_mistakes(labels, probabilities, 5).tolist() == [0, 1]
    assert plots.worst_mistakes(labels, probabilities, 1).tolist() == [0]


def test_plot_of_a_run_without_mistakes(tmp_path):
    history = {key: [0.5] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
    images = np.zeros((2, 28, 28), np.uint8)
    plots.save_report(str(tmp_path / "f.svg"), history, images, np.array([0, 1]), np.eye(10)[:2])
    assert "<svg" in (tmp_path / "f.svg").read_text()


@pytest.fixture
def no_training(monkeypatch):
    """Fails if a command begins to work although an option is bad."""

    def load_data(*arguments):
        raise AssertionError("the data were loaded")

    monkeypatch.setattr(weft.datasets.mnist, "load_data", load_data)


def test_plot_without_matplotlib_is_told_before_training(no_training, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert main(["mnist", "--plot", "run.png"]) == 2
    assert capsys.readouterr().err.startswith(
        "weft mnist: --plot needs matplotlib, which is not installed"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs: expected a whole number of at least 1, got '0'."),
        (["--epochs", "-3"], "--epochs: expected"),
        (["--epochs", "1.5"], "got '1.5'."),
        (["--epochs", "²"], "got '²'."),
        (["--batch-size", "many"], "--batch-size: expected a whole number of at least 1"),
        (["--widths", "512,,512"], "--widths: expected whole numbers of at least 1 with commas"),
        (["--widths", ""], "got ''."),
        (["--widths", "512x3"], "got '512x3'."),
        (["--dropout", "1"], "--dropout: expected a rate from 0 to below 1, got '1'."),
        (["--dropout", "nan"], "got 'nan'."),
        (["--threads", "0"], "--threads: expected a whole number of at least 1, got '0'."),
        (["--seed", "-1"], "--seed: expected"),
        (["--seed", "4294967296"], "from 0 to 4294967295, got '4294967296'."),
        (["--device", "tpu"], "--device: invalid choice: 'tpu'"),
        (["--plot", "run.docx"], "--plot expects a file ending in one of "),
        (["--plot", "/no/such/folder/run.png"], "--plot expects an existing folder"),
        (["--depth", "3"], "unrecognized arguments: --depth 3."),
    ],
)
def test_bad_options_get_one_sentence(no_training, capsys, arguments, message):
    assert main(["mnist", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("weft")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith(".\n")


def test_unknown_command(capsys):
    assert main(["mnits"]) == 2
    assert "invalid choice: 'mnits'" in capsys.readouterr().err


def test_a_missing_device_is_told_before_training(no_training, monkeypatch, capsys):
    monkeypatch.setattr(devices, "_cuda", lambda: (None, 0, "no driver"))
    assert main(["mnist", "--device", "cuda"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("weft mnist: --device cuda is not available here: ")
    assert error.count("\n") == 1


def test_interruption(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist, "run", interrupt)
    assert main(["mnist"]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_stopwatch_leaves_validation_out(monkeypatch):
    ticks = iter([10.0, 12.0, 20.0, 21.0])
    monkeypatch.setattr(mnist.time, "perf_counter", lambda: next(ticks))
    stopwatch = mnist.Stopwatch()
    stopwatch.on_test_begin()  # an evaluation before any epoch counts for nothing
    stopwatch.on_epoch_begin(0)
    stopwatch.on_test_begin()
    stopwatch.on_epoch_end(0)
    stopwatch.on_epoch_begin(1)
    stopwatch.on_epoch_end(1)
    assert stopwatch.seconds == 3.0
