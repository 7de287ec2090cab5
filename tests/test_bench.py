"""The benchmarks' own arithmetic: workloads, statistics, tables, goals. Nothing is timed here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# bench/ belongs to the checkout, not to the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import blas, data, gate, gemm, machine, report, stats, train
from bench.peak import RoundTripMeter
from bench.peers import PEERS, fastest
from bench.stats import Block, summarise
from bench.workloads import LSTM, WORKLOADS, Conv2D, Conv2DTranspose, Unsupported

from weft import _core

pytestmark = pytest.mark.cpu

# --- workloads ---


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("W1", [784 * 10]),
        ("W2", [784 * 50, 50 * 10]),
        ("W5", [784 * 500, 500 * 500, 500 * 10]),
        ("W6", [784 * 512, 512 * 512, 512 * 512, 512 * 10]),
        ("W8", [784 * 2500, 2500 * 2000, 2000 * 1500, 1500 * 1000, 1000 * 500, 500 * 10]),
    ],
)
def test_useful_flops(name: str, weights: list[int]) -> None:
    workload = WORKLOADS[name]
    assert workload.predict_flops == 2 * sum(weights)
    assert workload.train_flops == 6 * sum(weights) - 2 * weights[0]


def test_useful_flops_of_the_networks_that_are_not_dense() -> None:
    # Multiply-adds of each layer: output places x window x channels in x channels out.
    conv = [28 * 28 * 9 * 32, 14 * 14 * 9 * 32 * 64, 3136 * 128, 128 * 10]
    assert WORKLOADS["W9"].predict_flops == 2 * sum(conv)
    assert WORKLOADS["W9"].train_flops == 6 * sum(conv) - 2 * conv[0]
    conv = [26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64, 1600 * 10]
    assert WORKLOADS["W10"].train_flops == 6 * sum(conv) - 2 * conv[0]
    # An LSTM that reads images spares the gradient of its inputs, not that of its state.
    lstm = [28 * 28 * 512, 28 * 128 * 512, 128 * 10]
    assert WORKLOADS["W11"].predict_flops == 2 * sum(lstm)
    assert WORKLOADS["W11"].train_flops == 6 * sum(lstm) - 2 * lstm[0]
    # A transposed convolution spreads each place of its input over a window.
    conv = [14 * 14 * 9 * 16, 7 * 7 * 9 * 16 * 32, 7 * 7 * 9 * 32 * 16, 14 * 14 * 9 * 16]
    assert WORKLOADS["W12"].train_flops == 6 * sum(conv) - 2 * conv[0]


def test_layer_shapes() -> None:
    assert Conv2D(8, 3).output_shape((28, 28, 1)) == (26, 26, 8)
    assert Conv2D(8, 5, strides=2, padding="same").output_shape((7, 5, 3)) == (4, 3, 8)
    assert Conv2D(8, 3, strides=2).output_shape((8, 7, 3)) == (3, 3, 8)
    assert Conv2DTranspose(4, 3, strides=2).output_shape((7, 5, 8)) == (14, 10, 4)
    assert LSTM(6).output_shape((28, 3)) == (6,)
    assert [shape for _, shape in WORKLOADS["W10"].layer_shapes()] == [
        (28, 28, 1), (26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (5, 5, 64), (1600,),
    ]  # fmt: skip


def test_workloads_are_the_twelve_agreed_on() -> None:
    assert list(WORKLOADS) == [f"W{index}" for index in range(1, 13)]
    assert WORKLOADS["W1"].title == "784-10 SGD nesterov b50"
    assert WORKLOADS["W6"].title == "784-512-512-512-10 drop 0.2 RMSprop b128"
    assert WORKLOADS["W7"].title == "784-512-512-10 Adam b32"
    assert WORKLOADS["W8"].title == "784-2500-2000-1500-1000-500-10 SGD b128"
    assert WORKLOADS["W9"].title == "28x28x1-conv32-pool-conv64-pool-128-10 drop 0.5 Adam b64"
    assert WORKLOADS["W10"].title == "28x28x1-conv32-pool-conv64-pool-10 drop 0.5 Adam b128"
    assert WORKLOADS["W11"].title == "28x28-lstm128-10 Adam b128"
    assert WORKLOADS["W12"].title == "28x28x1-conv16/2-conv32/2-deconv16/2-deconv1/2 Adam b128"
    images = [6000] * 5 + [60000] * 2 + [6400] + [12800] * 4
    assert [w.images for w in WORKLOADS.values()] == images


def test_data_is_scaled_and_cut(tmp_path: Path) -> None:
    images = np.full((6000, 28, 28), 255, np.uint8)
    labels = np.zeros(6000, np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    loaded = data.load(WORKLOADS["W1"], path)
    assert loaded.x_train.shape == (6000, 784)
    assert loaded.x_train.dtype == np.float32
    assert loaded.x_train.max() == 1.0
    assert loaded.x_test.shape == (20, 784)
    assert loaded.targets(WORKLOADS["W1"]) is loaded.y_train
    assert loaded.targets(WORKLOADS["W12"]) is loaded.x_train
    with pytest.raises(ValueError, match="W7 needs 60000 images, got 6000"):
        data.load(WORKLOADS["W7"], path)


# --- statistics ---


def blocks(*rates: float, **around: float) -> list[Block]:
    return [Block(seconds=1.0, images=int(rate), **around) for rate in rates]


def test_noisy_blocks_are_left_out_where_three_remain() -> None:
    quiet = blocks(100, 110, 120, peak_before=95.0, peak_after=100.0)
    slow_peak = blocks(50, peak_before=80.0, peak_after=100.0)
    foreign = blocks(60, peak_before=100.0, peak_after=100.0, foreign=0.2)
    stolen = blocks(70, peak_before=100.0, peak_after=100.0, steal=0.1)
    summary = summarise([*quiet, *slow_peak, *foreign, *stolen], best_peak=100.0)
    assert summary == stats.Summary(110.0, 100.0, 120.0, used=3, total=6, clean=True)


def test_blocks_while_the_cpus_are_apart_are_left_out() -> None:
    near = blocks(100, 110, 120, trip_before=55.0, trip_after=105.0)
    apart = [*blocks(50, trip_before=320.0, trip_after=55.0), *blocks(60, trip_after=111.0)]
    summary = summarise([*near, *apart], best_peak=None, least_trip=55.0)
    assert summary == stats.Summary(110.0, 100.0, 120.0, used=3, total=5, clean=True)
    assert summarise([*near, *apart], best_peak=None).used == 5  # of a run that did not look


def test_a_cache_line_comes_back() -> None:
    assert _core.round_trip() > 0
    assert RoundTripMeter(1).measure() is None
    meter = RoundTripMeter(2)
    assert meter.least is None
    assert {meter.measure(), meter.measure()} == set(meter.samples)
    assert meter.least == min(meter.samples)


def test_all_blocks_count_where_too_few_are_quiet() -> None:
    mixed = [*blocks(100, 110), *blocks(50, foreign=0.5)]
    summary = summarise(mixed, best_peak=None)
    assert (summary.median, summary.low, summary.clean) == (100.0, 50.0, False)
    assert report.rate_cell(summary).endswith("~")


def test_blocks_survive_json() -> None:
    block = Block(0.5, 3000, 99.0, 98.0, 0.01, 0.0)
    assert block.to_json()["images_per_second"] == 6000.0
    assert Block.from_json(block.to_json()) == block


def test_ratios_of_medians_and_of_bests() -> None:
    fast, slow = summarise(blocks(300, 400, 500), None), summarise(blocks(100, 200, 400), None)
    assert fast.ratio_to(slow) == (2.0, 1.25)


def test_means_and_peaks() -> None:
    assert stats.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="at least one"):
        stats.geometric_mean([])
    assert stats.typical_peak([100.0, 98.0, 97.0, 50.0]) == 98.0
    assert stats.typical_peak([]) is None


def test_load_shares() -> None:
    before, after = machine.CpuTimes(10.0, 1.0), machine.CpuTimes(12.0, 1.2)
    assert machine.load_shares(before, after, wall=1.0, own=1.8, cpus=2) == (0.1, 0.1)
    assert machine.load_shares(before, after, wall=1.0, own=2.5, cpus=2)[0] == 0.0


# --- peers ---


def test_the_fastest_mode_wins_and_a_failing_one_is_passed_over() -> None:
    work = {"slow": 20_000, "quick": 20}

    def run(choice: str) -> None:
        if choice == "broken":
            raise RuntimeError("not on this machine")
        sum(range(work[choice]))

    assert fastest(["slow", "broken", "quick"], run, seconds=0.002) == "quick"
    with pytest.raises(Unsupported, match="not on this machine"):
        fastest(["broken", "broken"], run, seconds=0.001)


def test_every_peer_has_its_module() -> None:
    folder = machine.ROOT / "bench" / "peers"
    for spec in PEERS.values():
        assert (folder / f"{spec.module}.py").exists(), spec.name
    assert PEERS["weft"].requires == ("weft",)


# --- command lines ---


def test_train_arguments() -> None:
    options = train.parse_arguments(["--workloads", "W1,W6", "--peers", "weft,sklearn"])
    assert options.workloads == ["W1", "W6"]
    assert options.peers == ["weft", "sklearn"]
    assert (options.threads, options.blocks) == (2, 5)
    assert train.parse_arguments([]).peers == list(PEERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "W99"], "unknown workload W99; known: W1, W2"),
        (["--peers", "theano"], "unknown peer theano"),
        (["--workloads", "W1", "--one-row"], "--one-row needs W2"),
        (["--threads", "0"], "must be positive"),
        (["--build-limit", "0"], "must be positive"),
    ],
)
def test_train_rejects(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.parse_arguments(arguments)
    assert message in capsys.readouterr().err


def test_gemm_shapes() -> None:
    assert gemm.parse_shape("128x784x512") == (128, 784, 512)
    for bad in ("128x784", "0x1x1", "axbxc"):
        with pytest.raises(ValueError, match="MxKxN"):
            gemm.parse_shape(bad)


def test_gemm_peers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gemm.parse_arguments(["--peers", "blas"])
    assert "takes numpy and torch; got 'blas'" in capsys.readouterr().err
    calls = {role: blas.call_of("numpy", role, (3, 5, 2), 1) for role in gemm.ROLES}
    results = {role: np.asarray(call()) for role, call in calls.items()}
    assert {role: result.shape for role, result in results.items()} == {
        "forward": (3, 2), "grad_input": (3, 5), "grad_kernel": (5, 2),
    }  # fmt: skip


# --- tables and goals ---


def entry(*rates: float) -> dict[str, Any]:
    return {"mode": "defaults", "blocks": [block.to_json() for block in blocks(*rates)]}


def results(**training: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2000-01-01", "commit": "unknown", "machine": machine.describe([0]),
        "versions": {"numpy": np.__version__}, "threads": 2, "left_out": {"jax_step": "absent"},
        "training": training, "predict": {}, "peak": {"best": None, "typical": 100.0},
        "one_row": {"weft": {"predict_on_batch": {"median_us": 9.5, "min_us": 9.0}}},
    }  # fmt: skip


def test_markdown_table() -> None:
    found = results(W1={"weft": entry(2000, 2000, 2000), "sklearn": entry(1000, 900, 1100)})
    text = report.to_markdown(found)
    assert "| W1 784-10 SGD nesterov b50 | 2,000 (2,000..2,000) | 1,000 (900..1,100) |" in text
    assert "| W1 | 2.00 (1.82) |" in text
    assert "jax_step: absent" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| W1 784")}
    header = next(line for line in text.splitlines() if line.startswith("| workload"))
    assert widths == {header.count("|")}


def test_peak_share_counts_useful_flops() -> None:
    summary = summarise(blocks(1000, 1000, 1000), None)
    assert report.peak_share(summary, flops=50_000_000, peak=100.0) == "50.0"
    assert report.peak_share(summary, flops=1, peak=None) == "-"


def test_goals_take_the_lesser_ratio() -> None:
    peers = {
        "weft": summarise(blocks(400, 400, 400), None),
        "torch_eager": summarise(blocks(100, 100, 300), None),
        "jax_scan": summarise(blocks(200, 200, 200), None),
    }
    least = gate.lesser_ratio(peers)
    assert least is not None
    assert least[0] == pytest.approx(4 / 3)
    assert least[1] == "torch_eager"
    assert gate.lesser_ratio(peers, ("jax_scan",)) == (2.0, "jax_scan")
    assert gate.lesser_ratio({"weft": peers["weft"]}) is None


def test_goals_are_met_failed_or_not_measured() -> None:
    everything = {
        name: {
            "weft": entry(*[3100] * 3),
            "torch_eager": entry(*[1000] * 3),
            "keras_torch": entry(*[100] * 3),
        }
        for name in WORKLOADS
    }
    text = report.gate_to_text(results(**everything))
    assert "- met: training W1-W8 1.3x the best peer [W1 3.10 torch_eager" in text
    assert "- met: training W1-W8 3.0x Keras on PyTorch" in text
    assert "- not measured: predict W1-W8" in text
    assert "- not measured: predict W9-W12" in text
    assert "- met: one row under 20 us [9.5 us]" in text
    assert "- NOT MET: training W4-W8 at 75% of the FMA peak" in text
    assert "- met: training W9-W10 2.0x the best peer [W9 3.10 torch_eager, W10" in text
    assert "- met: training W9-W10 2.5x stock PyTorch" in text
    # 3,100 images/s of 25.0 and 14.3 MFLOP each, on a peak of 100 GFLOP/s.
    assert "- NOT MET: training W9-W10 at 60% of the FMA peak or more [W9 77.5%, W10 44.2%]" in text
    assert "- met: training W11-W12 1.7x the best peer" in text
    partial = report.gate_to_text(results(W1=everything["W1"]))
    assert "- not measured: training W1-W8 1.3x the best peer [W1 3.10 torch_eager, W2 -" in partial
    assert "- not measured: training W11-W12 1.7x the best peer [W11 -, W12 -]" in partial
    assert re.search(r"not measured: training W1-W8 1\.9x .*over 1 workloads", partial)


def test_gemm_table_and_goals() -> None:
    rates = {"forward": [96.0] * 3, "grad_input": [97.0] * 3, "grad_kernel": [80.0, 80.0, 88.0]}
    result = {"gflops": {"128x784x512": rates}, "clean": {}, "peak": 100.0, "peak_best": 100.0}
    found = {"threads": 1, "isa": {"avx2": result}}
    table = gemm.to_markdown(found)
    assert "| 128x784x512 | 96.0 (96.0) | 97.0 (97.0) | 80.0 (88.0) |" in table
    text = gemm.gate_to_text(found)
    assert "NOT MET: avx2 128x784x512 at 95% of the FMA peak" in text
    rates["grad_kernel"] = [94.0, 94.0, 96.0]
    assert "- met in the best blocks: avx2 128x784x512 at 95%" in gemm.gate_to_text(found)
    rates["grad_kernel"] = [95.0] * 3
    assert "- met: avx2 128x784x512 at 95%" in gemm.gate_to_text(found)
    assert "not measured: avx2 32x784x512" in text
