"""`python -m bench.gpu`: training and kernels of weft and its peers on a GPU, side by side.

One process per peer. For each workload and precision the peers are built one after the other, then
their blocks run in random order, round after round, one at a time. See docs/benchmarking.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench import conv, gpu_report, machine
from bench.command_line import known_names, say, write_json
from bench.gpu_peers import OWN, PEERS, PRECISIONS, Settings, known_precisions
from bench.gpu_peers.process import KERNELS, GpuProcess
from bench.peers import available_peers
from bench.process import WorkerError
from bench.workloads import WORKLOADS

_WORKLOADS = ("W6", "W9", "W2", "W10", "W11")  # what the goals name comes first
_PARTS = ("training", "gemm", "conv", "micro")
_LOAD, _BLOCK_LIMIT = 180.0, 60.0  # seconds that importing a framework, or a block, may take
_GRACE = 10.0  # seconds that building may go on once the budget is spent
_OUT_OF_TIME = "out of time"

Answer = dict[str, Any]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--workloads", default=",".join(_WORKLOADS), help="such as W6,W9")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="such as tf32,float32")
    parser.add_argument("--peers", default=",".join(PEERS), help="such as weft,torch_graph")
    parser.add_argument("--parts", default=",".join(_PARTS), help="such as training,gemm")
    parser.add_argument("--blocks", type=int, default=5, help="rounds of blocks")
    parser.add_argument("--seconds", type=float, default=0.3, help="least length of a block")
    parser.add_argument(
        "--budget", type=float, default=float("inf"), metavar="S",
        help="begin nothing after so many seconds; what is missing is said to be left out",
    )  # fmt: skip
    parser.add_argument(
        "--build-limit", type=float, default=180.0, metavar="S",
        help="leave a peer out that is not built, compiled and through its first epoch by then",
    )  # fmt: skip
    parser.add_argument(
        "--thorough", action="store_true", help="also the modes that take minutes to compile"
    )
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal"
    )
    parser.add_argument("--images", type=int, help="fewer images an epoch, for a rehearsal")
    parser.add_argument("--gemm-shapes", help="such as 128x784x512,2048x2048x2048")
    parser.add_argument("--conv-shapes", help="such as 32to64_14x14_same:128")
    parser.add_argument("--data", help="an mnist.npz; default: the one inside weft")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the blocks")
    parser.add_argument("--out", type=Path, help="JSON to write, after every part")
    parser.add_argument(
        "--resume", action="store_true",
        help="keep what --out has of the same commit and card, and measure the rest",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    options.workloads = known_names(parser, options.workloads, WORKLOADS, "workload")
    options.peers = known_names(parser, options.peers, PEERS, "peer")
    options.parts = known_names(parser, options.parts, _PARTS, "part")
    precisions = known_names(parser, options.precisions, PRECISIONS, "precision")
    options.precisions = known_precisions(precisions)
    try:
        options.gemm_shapes = [parse_gemm(text) for text in _split(options.gemm_shapes)]
        options.conv_shapes = [parse_conv(text) for text in _split(options.conv_shapes)]
    except ValueError as error:
        parser.error(str(error))
    if min(options.blocks, options.seconds, options.budget, options.build_limit) <= 0:
        parser.error("--blocks, --seconds, --budget and --build-limit must be positive")
    if options.resume and not options.out:
        parser.error("--resume needs --out")
    return options


def _split(text: str | None) -> list[str]:
    return text.split(",") if text else []


def parse_gemm(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", text):
        raise ValueError(
            f"a product is MxKxN with positive sizes, such as 512x512x512; got {text!r}"
        )
    return tuple(int(part) for part in text.split("x"))


def parse_conv(text: str) -> tuple[str, int]:
    shape, _, batch = text.partition(":")
    conv.parse_shape(shape)
    if not batch.isdigit() or int(batch) == 0:
        raise ValueError(
            f"a convolution is SHAPE:BATCH, such as 32to64_14x14_same:128; got {text!r}"
        )
    return shape, int(batch)


def card_info(device: str) -> dict[str, str]:
    """Name, driver and the driver's CUDA version of the first GPU; what is not known is '-'."""
    card = dict.fromkeys(("name", "driver", "memory", "compute_capability", "cuda"), "-")
    if device == "cpu":
        return card | {"name": "cpu"}
    query = "name,driver_version,memory.total,compute_cap"
    first = _output(["nvidia-smi", "-i", "0", f"--query-gpu={query}", "--format=csv,noheader"])
    values = [value.strip() for value in first.split(",")]
    if len(values) == 4:
        card |= dict(zip(("name", "driver", "memory", "compute_capability"), values, strict=True))
    found = re.search(r"CUDA Version:\s*([0-9.]+)", _output(["nvidia-smi"]))
    return card | ({"cuda": found[1]} if found else {})


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def cuda_build() -> str:
    try:
        from weft import _core

        return str(_core.cpu_info()["cuda_build"])
    except (ImportError, KeyError):
        return "-"


def new_results(options: argparse.Namespace) -> dict[str, Any]:
    results = {
        **machine.provenance(sorted(os.sched_getaffinity(0))),
        "card": card_info(options.device) | {"cuda_build": cuda_build()},
        "options": {
            name: getattr(options, name) for name in ("blocks", "seconds", "thorough", "seed")
        },
        "left_out": {},
        "training": {},
        "flops": {"gemm": {}, "conv": {}},
        "gemm": {},
        "conv": {},
        "micro": {},
        "steps": [],
    }
    # A copy of a checkout has no history; whoever made it may say what it is.
    if os.environ.get("WEFT_COMMIT"):
        results["commit"] = os.environ["WEFT_COMMIT"]
    return results


def resumed(results: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The old result, if it is of the same commit and card; what had no time is tried again."""
    same = (old.get("commit"), old.get("card")) == (results["commit"], results["card"])
    if not same or results["commit"] == "unknown":
        say("--resume: the file is of another commit or card, or of none; all is measured anew")
        return results
    failed = {what: why for what, why in old["left_out"].items() if why != _OUT_OF_TIME}
    return {**old, "left_out": failed}


class Run:
    """One call of the driver: its workers and what they have measured."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.random = random.Random(options.seed)
        self.deadline = time.monotonic() + options.budget
        self.workers: dict[str, GpuProcess] = {}
        self.gone: set[str] = set()  # what cannot be loaded here
        self.results = new_results(options)
        if options.resume and options.out.exists():
            self.results = resumed(self.results, json.loads(options.out.read_text()))

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.deadline - time.monotonic()

    def leave_out(self, what: str, why: str) -> None:
        self.results["left_out"][what] = why
        say(f"{what} is left out: {why}")

    def start(self, names: list[str]) -> list[str]:
        """Those of the workers that run, once they have imported what they need, all at once."""
        new = [name for name in names if name not in self.workers and name not in self.gone]
        for name in new:
            self.workers[name] = GpuProcess(name, self.options.device, self.scratch)
            self.workers[name].tell("load")
        for name in new:
            if self._guarded(name, name, partial(self.workers[name].hear, _LOAD)) is None:
                self.gone.add(name)  # it would fail again
        return [name for name in names if name in self.workers]

    def _guarded(self, what: str, name: str, call: Callable[[], Answer]) -> Answer | None:
        """The answer, or None after a failure. That ends the worker: its GPU state may be bad."""
        try:
            return call()
        except WorkerError as error:
            self.leave_out(what, str(error))
            self.workers.pop(name).close()
            return None

    def _ask(
        self, what: str, name: str, limit: float, do: str, /, **arguments: Any
    ) -> Answer | None:
        worker = self.workers[name]
        return self._guarded(what, name, lambda: worker.ask(do, limit, **arguments))

    def measure_case(self, workload: str, precision: str, names: list[str]) -> None:
        """All peers on one workload; what the budget cut short is measured again by --resume."""
        training, label = self.results["training"], f"{workload} {precision}"
        if training.get(workload, {}).get(precision, {}).get("complete"):
            say(f"{label}: kept")
            return
        if self.left <= 0:
            self.leave_out(label, _OUT_OF_TIME)
            return
        started = self.start(names)
        if not started:
            return  # which has been said
        left_out = self.results["left_out"]
        for what in [each for each in left_out if each.startswith(f"{label} ")]:
            del left_out[what]  # of an earlier run
        case: dict[str, Any] = {"complete": True, "peers": {}}
        training.setdefault(workload, {})[precision] = case
        settings = asdict(Settings(precision, self.options.device, self.options.thorough))
        for name in started:
            if self.left <= 0:
                self.leave_out(f"{label} {name}", _OUT_OF_TIME)
                case["complete"] = False
                continue
            limit = min(self.options.build_limit, self.left + _GRACE)
            answer = self._ask(
                f"{label} {name}", name, limit, "build", workload=workload,
                path=self.options.data, images=self.options.images, settings=settings,
            )  # fmt: skip
            if answer is None:
                case["complete"] = case["complete"] and self.left > 0
                continue
            say(f"{label} {name}: {answer['mode']} ({answer['seconds']:.0f} s)")
            case["peers"][name] = {**answer, "blocks": []}
        for turn in range(self.options.blocks):
            if self.left <= 0 and turn > 0:
                case["complete"] = False
                break
            self._measure_round(label, case["peers"])
        self._check_accuracy(label, case["peers"])

    def _measure_round(self, label: str, peers: dict[str, Any]) -> None:
        names = list(peers)
        self.random.shuffle(names)
        for name in names:
            answer = self._ask(
                f"{label} {name}", name, _BLOCK_LIMIT, "train", seconds=self.options.seconds
            )
            if answer is None:
                del peers[name]
                continue
            rate = answer["images"] / answer["seconds"]
            block = {"seconds": answer["seconds"], "images": answer["images"]}
            peers[name]["blocks"].append({"images_per_second": rate, **block})

    def _check_accuracy(self, label: str, peers: dict[str, Any]) -> None:
        for name in list(peers):
            answer = self._ask(f"{label} {name}", name, _BLOCK_LIMIT, "accuracy")
            if answer is None:
                del peers[name]
                continue
            peers[name].update(answer)
            found = ", ".join(f"{key} {value:.4g}" for key, value in answer.items())
            say(f"{label} {name}: {found}")
            if not gpu_report.learned(peers[name]):
                self.leave_out(f"{label} {name}", f"has not learned: {found}")

    def measure_kernels(self) -> None:
        from bench.gpu_peers import kernels  # needs weft

        wanted: list[tuple[str, str, dict[str, Any]]] = []
        for shape in self.options.gemm_shapes or kernels.GEMM_SHAPES:
            name = "x".join(map(str, shape))
            m, k, n = shape
            self.results["flops"]["gemm"][name] = 2 * m * k * n
            wanted.append(("gemm", name, {"shape": list(shape)}))
        for shape, batch in self.options.conv_shapes or kernels.CONV_SHAPES:
            name = f"{shape} b{batch}"
            self.results["flops"]["conv"][name] = conv.parse_shape(shape).flops(batch)
            wanted.append(("conv", name, {"shape": shape, "batch": batch}))
        wanted += [("micro", name, {"name": name}) for name in kernels.micro.TABLE]
        for kind, name, arguments in wanted:
            if kind not in self.options.parts or name in self.results[kind]:
                continue
            if self.left <= 0:
                self.leave_out(f"{kind} {name}", _OUT_OF_TIME)
                continue
            if self.start([KERNELS]):
                what = f"{kind} {name}"
                answer = self._ask(what, KERNELS, _BLOCK_LIMIT, kind, **arguments)
                if answer:
                    say(f"{what}: done")
                    self.results[kind][name] = answer
        if KERNELS in self.workers:
            self.workers.pop(KERNELS).close()
        self.save()

    def run(self) -> None:
        self.save()
        if PEERS[OWN[0]].why_not() is None:
            self.measure_kernels()  # a minute's work, and most of the goals
        if "training" in self.options.parts:
            names = available_peers(self.options.peers, PEERS, self.leave_out)
            # What the goals name comes first in every precision, then the other workloads.
            for workload in self.options.workloads:
                for precision in self.options.precisions:
                    self.measure_case(workload, precision, names)
                    self.save()

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def save(self) -> None:
        """Write what there is so far: a long run that is cut off keeps its finished cases."""
        if self.options.out:
            write_json(self.options.out, gpu_report.with_findings(self.results))


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        run = Run(options, Path(scratch))
        try:
            run.run()
        finally:
            run.close()
    print(gpu_report.to_markdown(run.results))
    print(gpu_report.goals_to_text(run.results))


if __name__ == "__main__":
    main()
