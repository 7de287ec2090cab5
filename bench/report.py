"""Tables and goals from a result file: `python -m bench.report bench/results/NAME.json`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import gate
from bench.stats import Block, Summary, summarise
from bench.workloads import WORKLOADS

Summaries = dict[str, dict[str, Summary]]  # workload -> peer -> summary


def summaries(results: dict[str, Any], kind: str) -> Summaries:
    """Every peer's summary for one part of the results, 'training' or 'predict'."""
    best_peak, least_trip = results["peak"]["best"], results.get("round_trip", {}).get("least")

    def summary(blocks: list[dict[str, Any]]) -> Summary:
        return summarise([Block.from_json(block) for block in blocks], best_peak, least_trip)

    return {
        workload: {
            peer: summary(entry["blocks"]) for peer, entry in peers.items() if entry["blocks"]
        }
        for workload, peers in results[kind].items()
    }


def flops_per_image(workload: str, kind: str) -> int:
    chosen = WORKLOADS[workload]
    return chosen.train_flops if kind == "training" else chosen.predict_flops


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rate_cell(summary: Summary | None) -> str:
    """'102,400 (98,000..104,000)', with ~ where noisy blocks had to be counted."""
    if summary is None:
        return "-"
    text = f"{summary.median:,.0f} ({summary.low:,.0f}..{summary.high:,.0f})"
    return text if summary.clean else text + " ~"


def to_markdown(results: dict[str, Any]) -> str:
    parts = [_heading(results)]
    for kind, title in (("training", "Training"), ("predict", "Inference, 10,000 test images")):
        found = {name: peers for name, peers in summaries(results, kind).items() if peers}
        if found:
            parts += [f"## {title}, images/s: median (lowest..highest block)"]
            parts += [_rates(found, kind, results["peak"]["typical"])]
            if any("weft" in peers for peers in found.values()):
                parts += ["weft against each peer: ratio of medians (of best blocks)"]
                parts += [_ratios(found)]
    if results["one_row"]:
        parts += ["## One row, W2's network, microseconds per call", _one_row(results["one_row"])]
    if results["left_out"]:
        parts += ["Left out: " + "; ".join(f"{k}: {v}" for k, v in results["left_out"].items())]
    return "\n\n".join(parts)


def _heading(results: dict[str, Any]) -> str:
    cpu, peak = results["machine"], results["peak"]["typical"]
    name = cpu.get("model_name", "unknown CPU")
    if "cpu_family" in cpu:
        name += f" (family {cpu['cpu_family']} model {cpu.get('model')})"
    versions = ", ".join(f"{key} {value}" for key, value in results["versions"].items())
    peak_text = f"{peak:,.0f} GFLOP/s" if peak else "not measured"
    return (
        f"{results['threads']} threads on {name}, {' '.join(cpu['isa'])}; FMA peak {peak_text}; "
        f"commit {results['commit']}; {results['date']}; {versions}"
    )


def _columns(found: Summaries) -> list[str]:
    return list(dict.fromkeys(peer for peers in found.values() for peer in peers))


def _rates(found: Summaries, kind: str, peak: float | None) -> str:
    columns = _columns(found)
    rows = []
    for name, peers in found.items():
        row = [f"{name} {WORKLOADS[name].title}", *(rate_cell(peers.get(p)) for p in columns)]
        if "weft" in columns:
            row.append(peak_share(peers.get("weft"), flops_per_image(name, kind), peak))
        rows.append(row)
    share = ["weft, % of peak"] if "weft" in columns else []
    return table(["workload", *columns, *share], rows)


def peak_share(summary: Summary | None, flops: int, peak: float | None) -> str:
    if summary is None or not peak:
        return "-"
    return f"{100 * summary.median * flops / (peak * 1e9):.1f}"


def _ratios(found: Summaries) -> str:
    columns = [peer for peer in _columns(found) if peer != "weft"]
    rows = []
    for name, peers in found.items():
        row = [name]
        for peer in columns:
            if "weft" not in peers or peer not in peers:
                row.append("-")
                continue
            medians, bests = peers["weft"].ratio_to(peers[peer])
            row.append(f"{medians:.2f} ({bests:.2f})")
        rows.append(row)
    return table(["workload", *columns], rows)


def _one_row(one_row: dict[str, dict[str, dict[str, float]]]) -> str:
    rows = [
        [peer, way, f"{times['median_us']:.1f}", f"{times['min_us']:.1f}"]
        for peer, ways in one_row.items()
        for way, times in ways.items()
    ]
    return table(["peer", "call", "median", "least"], rows)


def gate_to_text(results: dict[str, Any]) -> str:
    parts = {kind: summaries(results, kind) for kind in ("training", "predict")}
    lines = gate.check(
        results["threads"], parts["training"], parts["predict"], results["one_row"],
        results["peak"]["typical"],
    )  # fmt: skip
    return "\n".join(["## Goals", *(f"- {line}" for line in lines)])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("file", type=Path, help="written by python -m bench.train --out")
    parser.add_argument("--gate", action="store_true", help="print which goals are met")
    options = parser.parse_args(arguments)
    results = json.loads(options.file.read_text())
    print(to_markdown(results))
    if options.gate:
        print(gate_to_text(results))


if __name__ == "__main__":
    main()
