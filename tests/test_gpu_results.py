"""The GPU benchmarks' own arithmetic, and whether the newest result is of the newest kernels.

Nothing is timed here and no GPU is needed.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

# bench/ belongs to the checkout, not to the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import gpu, gpu_report
from bench.gpu_peers import OWN, PEERS, PRECISIONS, kernels

import weft

CHECKOUT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.cpu

# --- results and sources ---


def git(*arguments: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def age_warning(kernels_changed: int, results: dict[str, int]) -> str | None:
    """What to say about results by the time they were committed, beside that of csrc/cuda."""
    if not results:
        return "no result from a GPU: run bench/gpu_acceptance.sh on a machine that has one"
    newest = max(results, key=lambda name: results[name])
    if results[newest] < kernels_changed:
        return f"csrc/cuda has changed since {newest}: run bench/gpu_acceptance.sh again"
    return None


def test_results_are_of_the_newest_kernels() -> None:
    """Warns, because a change must not wait for a machine with a GPU."""
    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != CHECKOUT:
            pytest.skip("not a git checkout")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    dates = {}
    for path in sorted((CHECKOUT / "bench" / "results").glob("gpu-*.json")):
        date = git("log", "-1", "--format=%ct", "--", str(path))
        if date:
            dates[path.name] = int(date)
    text = age_warning(int(git("log", "-1", "--format=%ct", "--", "csrc/cuda") or 0), dates)
    if text:
        warnings.warn(text, stacklevel=1)


def test_what_is_said_about_old_results() -> None:
    assert "no result" in (age_warning(5, {}) or "")
    assert "since gpu-b.json" in (age_warning(9, {"gpu-a.json": 3, "gpu-b.json": 7}) or "")
    assert age_warning(9, {"gpu-a.json": 3, "gpu-b.json": 9}) is None


# --- a made-up result ---


def entry(*rates: float, accuracy: float = 0.97) -> dict[str, Any]:
    blocks = [{"images_per_second": rate, "seconds": 1.0, "images": int(rate)} for rate in rates]
    return {"mode": "a mode", "blocks": blocks, "epochs": 3, "accuracy": accuracy}


def case(**rates: float) -> dict[str, Any]:
    return {
        "complete": True,
        "peers": {name: entry(0.9 * rate, rate, 1.1 * rate) for name, rate in rates.items()},
    }


SPEEDS = {
    "weft": 900.0, "weft_resident": 1000.0, "torch_eager": 100.0, "torch_graph": 300.0,
    "torch_compile": 400.0, "jax_scan": 450.0,
}  # fmt: skip


def product(own: float, peer: float) -> dict[str, Any]:
    return {
        library: dict.fromkeys(kernels.ROLES, seconds)
        for library, seconds in (("weft", own), ("torch", peer))
    }


def result(**changes: Any) -> dict[str, Any]:
    empty = {
        "date": "today", "commit": "abc", "machine": {}, "versions": {"python": "3"},
        "card": {"name": "NVIDIA H100", "driver": "1", "cuda": "13.0", "cuda_build": "nvcc"},
        "left_out": {}, "training": {}, "flops": {"gemm": {}, "conv": {}}, "gemm": {}, "conv": {},
        "micro": {}, "steps": [],
    }  # fmt: skip
    return {**empty, **changes}


def verdict(results: dict[str, Any], beginning: str) -> tuple[bool | None, str]:
    (goal,) = [goal for goal in gpu_report.check(results) if goal.text.startswith(beginning)]
    return goal.met, goal.figures


# --- ratios, goals and text ---


def test_ratios() -> None:
    gemm = {"2048x2048x2048": {"tf32": product(2.0, 1.0)}, "8x8x8": {"tf32": {"weft": {}}}}
    found = gpu_report.ratios(result(training={"W6": {"tf32": case(**SPEEDS)}}, gemm=gemm))
    rows = found["training"]["W6"]["tf32"]
    assert set(rows) == set(OWN)
    assert rows["weft"]["torch_eager"] == {
        "medians": pytest.approx(9.0), "best": pytest.approx(9.0)
    }  # fmt: skip
    assert rows["weft_resident"]["jax_scan"]["medians"] == pytest.approx(1000 / 450, rel=1e-2)
    assert "weft" not in rows["weft_resident"]
    assert found["gemm"] == {"2048x2048x2048": {"tf32": dict.fromkeys(kernels.ROLES, 0.5)}}
    assert found["conv"] == {}


def test_goals_of_a_full_result() -> None:
    results = result(training={"W6": {"tf32": case(**SPEEDS)}, "W9": {"tf32": case(**SPEEDS)}})
    assert verdict(results, "W6 step 8x PyTorch eager (tf32, model.fit)")[0] is True
    strongest = "W6 step 2x the best of torch_graph, torch_compile, jax_scan (tf32, "
    assert verdict(results, f"{strongest}model.fit")[0] is True
    assert verdict(results, "W9 2x the best peer (tf32, data resident)") == (True, "2.22 jax_scan")
    # Precisions that were not measured are not asked about.
    assert not any("float32, model" in goal.text for goal in gpu_report.check(results))


def test_a_goal_needs_every_peer_but_one_is_enough_to_miss_it() -> None:
    without = {name: rate for name, rate in SPEEDS.items() if name != "torch_graph"}
    results = result(training={"W6": {"tf32": case(**without)}})
    goals = {goal.text: goal for goal in gpu_report.check(results)}
    (text,) = [each for each in goals if each.startswith("W6 step 2x") and "model.fit" in each]
    assert goals[text].met is None
    assert "without torch_graph" in goals[text].figures
    slow = result(training={"W6": {"tf32": case(**{**without, "weft": 500.0})}})
    assert {goal.text: goal for goal in gpu_report.check(slow)}[text].met is False


def test_who_does_not_learn_does_not_count() -> None:
    peers = case(**SPEEDS)
    peers["peers"]["jax_scan"]["accuracy"] = 0.1
    assert "jax_scan" not in gpu_report.summaries(peers)
    peers["peers"]["weft"]["accuracy"] = float("nan")
    results = result(training={"W6": {"tf32": peers}})
    met, figures = verdict(results, "W6 step 8x PyTorch eager (tf32, model.fit)")
    assert met is False
    assert "not learned" in figures
    assert gpu_report.learned({"squared_error": 0.01, "blocks": []})


@pytest.mark.parametrize(("own", "met"), [(1.0, True), (1.25, False)])
def test_the_goal_for_products(own: float, met: bool) -> None:
    gemm = {
        "4096x4096x4096": {"float32": product(own, 1.0)},
        "512x512x512": {"float32": product(100.0, 1.0)},  # too small to ask for
    }
    assert verdict(result(gemm=gemm), "float32 products")[0] is met
    assert verdict(result(gemm=gemm), "tf32 products") == (None, "-")


def test_the_goal_for_accuracy() -> None:
    steps = gpu_report.read_steps("build\tok\t90\t\nmnist\tok\t5\taccuracy 0.9834 at 1 image/s\n")
    assert steps[0] == {"name": "build", "outcome": "ok", "seconds": 90.0, "detail": ""}
    assert verdict(result(steps=steps), "weft mnist") == (True, "0.9834")
    again = gpu_report.merge_steps(steps, gpu_report.read_steps("mnist\tfailed (1)\t2"))
    assert [step["outcome"] for step in again] == ["ok", "failed (1)"]
    assert verdict(result(steps=again), "weft mnist") == (None, "-")


def test_the_file_is_json_with_ratios_and_goals() -> None:
    results = gpu_report.with_findings(result(training={"W2": {"tf32": case(**SPEEDS)}}))
    again = json.loads(json.dumps(results))
    assert set(again) >= {"card", "commit", "steps", "ratios", "goals", "training", "gemm"}
    assert again["goals"][0]["met"] is None


def test_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gemm = {"64x64x64": {"tf32": product(1e-6, 2e-6)}}
    results = result(
        training={"W6": {"tf32": case(**SPEEDS)}}, gemm=gemm,
        flops={"gemm": {"64x64x64": 2 * 64**3}, "conv": {}}, micro={"copy": {"1 MiB": 3.0}},
        left_out={"jax_scan": "jax not installed"},
    )  # fmt: skip
    file, steps = tmp_path / "in.json", tmp_path / "steps.tsv"
    file.write_text(json.dumps(results))
    steps.write_text("tests\tok\t60\t3000 passed\n")
    gpu_report.main([str(file), "--steps", str(steps), "--folder", str(tmp_path / "out")])
    text = capsys.readouterr().out
    assert "9.00 (9.00) / 10.00 (10.00)" in text
    assert "| W6 tf32 | 900 (810..990) | 1,000 (900..1,100) | 100 (90..110) |" in text
    assert "| 64x64x64 tf32 | 0.524 (2.00x) |" in text
    assert "jax not installed" in text
    assert "| tests | ok | 60 | 3000 passed |" in text
    written = json.loads((tmp_path / "out" / "gpu-h100.json").read_text())
    assert written["steps"][0]["detail"] == "3000 passed"


def test_file_names() -> None:
    assert gpu_report.file_name("NVIDIA H100 80GB HBM3") == "gpu-h100-80gb-hbm3.json"
    assert gpu_report.file_name("NVIDIA GeForce RTX 4090") == "gpu-geforce-rtx-4090.json"
    assert not gpu_report.file_name("cpu").startswith("gpu-")


# --- the driver ---


def test_arguments() -> None:
    options = gpu.parse_arguments(["--precisions", "bfloat16,tf32", "--gemm-shapes", "8x16x24"])
    assert options.precisions == ["tf32", "bfloat16"]
    assert options.gemm_shapes == [(8, 16, 24)]
    assert options.peers == list(PEERS)
    shapes = gpu.parse_arguments(["--conv-shapes", "32to64_14x14_same:128"]).conv_shapes
    assert shapes == [("32to64_14x14_same", 128)]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--workloads", "W99"], ["--peers", "nobody"], ["--parts", "nothing"], ["--blocks", "0"],
        ["--precisions", "float16"], ["--gemm-shapes", "8x16"], ["--gemm-shapes", "8x0x8"],
        ["--conv-shapes", "32to64_14x14_same"], ["--resume"],
    ],
)  # fmt: skip
def test_wrong_arguments(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.parse_arguments(wrong)
    assert "error" in capsys.readouterr().err


def test_a_result_goes_on_only_on_the_same_card_and_commit() -> None:
    left_out = {"W9 tf32": "out of time", "W6 tf32 jax_scan": "it failed"}
    new, old = result(), result(training={"W6": {}}, left_out=left_out)
    assert gpu.resumed(new, old)["training"] == {"W6": {}}
    assert gpu.resumed(new, old)["left_out"] == {"W6 tf32 jax_scan": "it failed"}
    assert gpu.resumed(new, {**old, "commit": "other"}) is new
    assert gpu.resumed(new, {}) is new
    unknown = result(commit="unknown")
    assert gpu.resumed(unknown, {**unknown, "training": {"W6": {}}}) is unknown


def test_without_time_everything_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    gpu.main(["--device", "cpu", "--budget", "1e-9", "--peers", "weft", "--out", str(file)])
    left_out = json.loads(file.read_text())["left_out"]
    assert left_out["W6 tf32"] == left_out["gemm 8192x8192x8192"] == "out of time"


# --- peers ---


def test_every_peer_has_a_module() -> None:
    for spec in PEERS.values():
        assert importlib.util.find_spec(f"bench.gpu_peers.{spec.module}") is not None


@pytest.mark.parametrize(
    ("kernel", "role"),
    [
        ("dense", "forward"), ("dense+relu", "forward"), ("dense_grad_input", "grad_input"),
        ("transpose_rows", "grad_input"), ("dense_grad_kernel", "grad_kernel"),
        ("load_batch", None), ("accumulate", None),
    ],
)  # fmt: skip
def test_roles_of_kernels(kernel: str, role: str | None) -> None:
    assert kernels.role_of(kernel, kernels._GEMM_KERNELS) == role


def test_kernels_are_found_in_the_plans_and_timed() -> None:
    worker, before = kernels.KernelWorker("cpu"), weft.config.get_matmul_precision()
    worker.with_torch = False
    try:
        found, convolution = worker.gemm([5, 7, 3]), worker.conv("2to4_6x5_valid", 2)
    finally:
        weft.config.set_matmul_precision(before)
    assert list(found) == list(PRECISIONS)
    for libraries in (*found.values(), *convolution.values()):
        assert all(libraries["weft"][role] > 0 for role in kernels.ROLES)
