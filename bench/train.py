"""`python -m bench.train`: training and inference of weft and its peers, side by side.

One worker process per peer; for each workload the peers' blocks run in random order, round after
round, with the FMA peak loop between blocks. See docs/benchmarking.md.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import machine, report, stats
from bench.command_line import known_names, say, write_json
from bench.machine import CpuTimes
from bench.peak import PeakMeter, RoundTripMeter
from bench.peers import PEERS, available_peers
from bench.process import CpuProcess, WorkerError, settle
from bench.stats import Block
from bench.workloads import ONE_ROW_WORKLOAD, WORKLOADS


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.train", description=__doc__)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="such as W1,W6")
    parser.add_argument("--peers", default=",".join(PEERS), help="such as weft,torch_eager")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=5, help="rounds of blocks per workload")
    parser.add_argument(
        "--retries", type=int, default=5, help="further rounds for peers with noisy blocks"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="least length of a block")
    parser.add_argument(
        "--build-limit", type=float, default=600.0, metavar="S",
        help="leave a peer out that is not built, compiled and through its first epoch by then",
    )  # fmt: skip
    parser.add_argument("--predict", action="store_true", help="also inference over the test set")
    parser.add_argument("--one-row", action="store_true", help="also the latency of one row (W2)")
    parser.add_argument("--no-train", action="store_true", help="leave the training blocks out")
    parser.add_argument(
        "--data", help="an mnist.npz or fashion_mnist.npz; default: the one inside weft"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of the blocks")
    parser.add_argument("--out", type=Path, help="JSON to write, such as bench/results/NAME.json")
    parser.add_argument("--gate", action="store_true", help="print which goals are met")
    options = parser.parse_args(arguments)
    options.workloads = known_names(parser, options.workloads, WORKLOADS, "workload")
    options.peers = known_names(parser, options.peers, PEERS, "peer")
    if options.one_row and ONE_ROW_WORKLOAD not in options.workloads:
        parser.error(f"--one-row needs {ONE_ROW_WORKLOAD} among the workloads")
    amounts = (options.threads, options.blocks, options.seconds, options.build_limit)
    if min(amounts) <= 0 or options.retries < 0:
        parser.error("--threads, --blocks, --seconds and --build-limit must be positive")
    return options


_LONG_BLOCK_SECONDS = 3.0


class Run:
    """One call of the driver: what it measures with and what it has measured."""

    def __init__(self, options: argparse.Namespace, cpus: list[int], scratch: Path) -> None:
        self.options, self.cpus, self.scratch = options, cpus, scratch
        self.kinds: dict[str, str] = {}  # part of the results -> the worker's command
        if not options.no_train:
            self.kinds["training"] = "train"
        if options.predict:
            self.kinds["predict"] = "predict"
        self.random = random.Random(options.seed)
        self.peak, self.round_trip = PeakMeter(options.threads), RoundTripMeter(options.threads)
        self.results: dict[str, Any] = {
            **machine.provenance(cpus),
            "threads": options.threads,
            "seed": options.seed,
            "left_out": {},
            "training": {},
            "predict": {},
            "one_row": {},
        }

    def leave_out(self, what: str, why: str) -> None:
        self.results["left_out"][what] = why
        say(f"{what} is left out: {why}")

    def measure_workload(self, name: str, peers: list[str]) -> None:
        workers: dict[str, CpuProcess] = {}
        try:
            for peer in peers:
                start = time.perf_counter()
                worker = CpuProcess(PEERS[peer], self.options.threads, self.scratch)
                workers[peer] = worker
                try:
                    answer = worker.ask(
                        "build", timeout=self.options.build_limit, workload=name,
                        path=self.options.data, threads=self.options.threads,
                    )  # fmt: skip
                except WorkerError as error:
                    self._drop(workers, name, peer, str(error))
                    continue
                say(f"{name} {peer}: {answer['mode']} ({time.perf_counter() - start:.0f} s)")
                for kind in self.kinds:
                    entry = {"mode": answer["mode"], "blocks": []}
                    self.results[kind].setdefault(name, {})[peer] = entry
            for kind, command in self.kinds.items():
                self._measure_blocks(name, workers, kind, command)
            self._check_accuracy(name, workers)
            if self.options.one_row and name == ONE_ROW_WORKLOAD:
                self._measure_one_row(name, workers)
        finally:
            for worker in workers.values():
                worker.close()

    def _drop(self, workers: dict[str, CpuProcess], name: str, peer: str, why: str) -> None:
        self.leave_out(f"{name} {peer}", why)
        workers.pop(peer).close()
        for kind in self.kinds:
            self.results[kind].get(name, {}).pop(peer, None)

    def _measure_blocks(
        self, name: str, workers: dict[str, CpuProcess], kind: str, command: str
    ) -> None:
        for turn in range(self.options.blocks + self.options.retries):
            peers = [peer for peer in workers if self._wants_block(kind, name, peer, turn)]
            if peers:
                say(f"{name} {kind}, round {turn + 1}: {len(peers)} peers")
            self.random.shuffle(peers)
            before = self._look_around() if peers else (None, None)
            for peer in peers:
                try:
                    block = self._block(workers[peer], command, before)
                except WorkerError as error:
                    self._drop(workers, name, peer, str(error))
                    continue
                self.results[kind][name][peer]["blocks"].append(block.to_json())
                before = block.peak_after, block.trip_after

    def _wants_block(self, kind: str, name: str, peer: str, turn: int) -> bool:
        """Every peer in the planned rounds, then those that still lack quiet blocks."""
        blocks = [Block.from_json(b) for b in self.results[kind][name][peer]["blocks"]]
        clean = stats.clean_blocks(blocks, self.peak.best, self.round_trip.least)
        if len(clean) < min(stats.MIN_CLEAN, self.options.blocks):
            return True
        # Blocks of many seconds vary little: three of them will do.
        return turn < self.options.blocks and clean[-1].seconds < _LONG_BLOCK_SECONDS

    def _look_around(self) -> tuple[float | None, float | None]:
        return self.peak.measure(), self.round_trip.measure()

    def _block(
        self, worker: CpuProcess, command: str, before: tuple[float | None, float | None]
    ) -> Block:
        start, times = time.perf_counter(), CpuTimes.now(self.cpus)
        answer = worker.ask(command, seconds=self.options.seconds)
        wall, after = time.perf_counter() - start, CpuTimes.now(self.cpus)
        settle()
        foreign, steal = machine.load_shares(
            times, after, wall, answer["cpu_seconds"], len(self.cpus)
        )
        (peak_before, trip_before), (peak_after, trip_after) = before, self._look_around()
        return Block(
            answer["seconds"], answer["images"], peak_before, peak_after, foreign, steal,
            trip_before, trip_after,
        )  # fmt: skip

    def _check_accuracy(self, name: str, workers: dict[str, CpuProcess]) -> None:
        for peer, answer in self._ask_all(name, workers, "accuracy").items():
            found = (f"{key} {value:.4g}" for key, value in answer.items())
            say(f"{name} {peer}: {', '.join(found)}")
            for kind in self.kinds:
                self.results[kind][name][peer].update(answer)

    def _measure_one_row(self, name: str, workers: dict[str, CpuProcess]) -> None:
        answers = self._ask_all(name, workers, "one_row")
        self.results["one_row"] = {
            peer: answer["ways"] for peer, answer in answers.items() if answer["ways"]
        }

    def _ask_all(
        self, name: str, workers: dict[str, CpuProcess], command: str
    ) -> dict[str, dict[str, Any]]:
        answers = {}
        for peer, worker in list(workers.items()):
            try:
                answers[peer] = worker.ask(command)
            except WorkerError as error:
                self._drop(workers, name, peer, str(error))
        return answers

    def save(self) -> None:
        """Write what there is so far: a long run that is cut off keeps its finished workloads."""
        self.results["peak"] = {
            "best": self.peak.best, "typical": self.peak.typical, "samples": self.peak.samples,
        }  # fmt: skip
        self.results["round_trip"] = {
            "least": self.round_trip.least, "samples": self.round_trip.samples,
        }  # fmt: skip
        if self.options.out:
            write_json(self.options.out, self.results)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    cpus = machine.choose_cpus(options.threads)
    os.sched_setaffinity(0, cpus)  # the workers inherit it; before weft counts its threads
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        run = Run(options, cpus, Path(scratch))
        peers = available_peers(options.peers, PEERS, run.leave_out)
        for name in options.workloads:
            run.measure_workload(name, peers)
            run.save()
    print(report.to_markdown(run.results))
    if options.gate:
        print(report.gate_to_text(run.results))


if __name__ == "__main__":
    main()
