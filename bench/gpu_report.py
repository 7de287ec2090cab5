"""Ratios, goals and tables of a result from a GPU: `python -m bench.gpu_report FILE`.

With `--steps` it takes in what a run of bench/gpu_acceptance.sh came to, and with `--folder` it
writes the result there as gpu-<card>.json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench import gate
from bench.command_line import write_json
from bench.gate import Goal
from bench.gpu_peers import OWN, PRECISIONS
from bench.report import rate_cell, table
from bench.stats import Block, Summary, summarise
from bench.workloads import WORKLOADS

EAGER = "torch_eager"
STRONGEST = ("torch_graph", "torch_compile", "jax_scan")
ALL_PEERS = (EAGER, *STRONGEST)
STEP_EAGER, STEP_STRONGEST = 8.0, 2.0  # W6
CONVNET_BEST_PEER = 2.0  # W9
GEMM_GOALS = {"float32": 0.9, "tf32": 0.5}  # of cuBLAS, in every role
GEMM_LEAST = 2048
MNIST_ACCURACY = 0.98
LEARNED = 0.8  # test accuracy after the blocks

Summaries = dict[str, Summary]


def file_name(card: str) -> str:
    """'gpu-h100-80gb-hbm3.json' for 'NVIDIA H100 80GB HBM3'; a rehearsal is no result."""
    if card == "cpu":
        return "rehearsal.json"
    words = re.findall(r"[a-z0-9]+", card.lower())
    return "-".join(["gpu", *(word for word in words if word != "nvidia")]) + ".json"


def learned(entry: dict[str, Any]) -> bool:
    """Whether what was timed was training; an autoencoder's error has no such limit."""
    return bool(entry.get("accuracy", 1.0 if "squared_error" in entry else 0.0) >= LEARNED)


def summaries(case: dict[str, Any]) -> Summaries:
    """Every peer of a case (a workload in a precision) that has blocks and has learned."""
    return {
        peer: summarise([Block.from_json(block) for block in entry["blocks"]], None)
        for peer, entry in case["peers"].items()
        if entry["blocks"] and learned(entry)
    }


def cases(results: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(workload, precision, case), the precisions in their order."""
    for workload, by_precision in results["training"].items():
        for precision in PRECISIONS:
            if precision in by_precision:
                yield workload, precision, by_precision[precision]


# --- ratios ---


def ratios(results: dict[str, Any]) -> dict[str, Any]:
    """Every figure of weft's over the same one of a peer's: above 1, weft is faster."""
    found: dict[str, Any] = {"training": {}, "gemm": {}, "conv": {}}
    for workload, precision, case in cases(results):
        peers = summaries(case)
        for own in OWN:
            if own in peers:
                row = {
                    peer: dict(zip(("medians", "best"), peers[own].ratio_to(summary), strict=True))
                    for peer, summary in peers.items()
                    if peer not in OWN
                }
                found["training"].setdefault(workload, {}).setdefault(precision, {})[own] = row
    for kind in ("gemm", "conv"):
        for shape, by_precision in results[kind].items():
            for precision, libraries in by_precision.items():
                if "torch" in libraries:
                    row = kernel_ratios(libraries)
                    found[kind].setdefault(shape, {})[precision] = row
    return found


def kernel_ratios(libraries: dict[str, dict[str, float]], own: str = "weft") -> dict[str, float]:
    """PyTorch's seconds over weft's, by role."""
    return {role: libraries["torch"][role] / seconds for role, seconds in libraries[own].items()}


# --- goals ---


def check(results: dict[str, Any]) -> list[Goal]:
    goals = []
    measured = {precision for _, precision, _ in cases(results)}
    for precision in [each for each in PRECISIONS if each in measured] or PRECISIONS[:1]:
        for own, label in zip(OWN, ("model.fit", "data resident"), strict=True):
            what = f"{precision}, {label}"
            goals += [
                speed_goal(results, "W6", precision, own, STEP_EAGER, (EAGER,),
                           f"W6 step {STEP_EAGER:g}x PyTorch eager ({what})"),
                speed_goal(results, "W6", precision, own, STEP_STRONGEST, STRONGEST,
                           f"W6 step {STEP_STRONGEST:g}x the best of {', '.join(STRONGEST)} "
                           f"({what})"),
                speed_goal(results, "W9", precision, own, CONVNET_BEST_PEER, ALL_PEERS,
                           f"W9 {CONVNET_BEST_PEER:g}x the best peer ({what})"),
            ]  # fmt: skip
    goals += [gemm_goal(results, precision, least) for precision, least in GEMM_GOALS.items()]
    return [*goals, accuracy_goal(results.get("steps", []))]


def speed_goal(
    results: dict[str, Any], workload: str, precision: str, own: str, least: float,
    against: tuple[str, ...], text: str,
) -> Goal:  # fmt: skip
    """Met only if both the medians and the best blocks reach it, against all of these peers."""
    case = results["training"].get(workload, {}).get(precision, {"peers": {}})
    entry = case["peers"].get(own)
    if entry and entry["blocks"] and not learned(entry):
        return Goal(text, False, f"weft has not learned: accuracy {entry.get('accuracy')}")
    peers = summaries(case)
    if own not in peers:
        return Goal(text, None, "-")
    others = {name: summary for name, summary in peers.items() if name in against}
    found = gate.lesser_ratio({"weft": peers[own], **others})
    if found is None:
        return Goal(text, None, "no such peer was measured")
    figures = f"{found[0]:.2f} {found[1]}"
    if found[0] < least:
        return Goal(text, False, figures)
    missing = [name for name in against if name not in others]
    if missing:
        return Goal(text, None, f"{figures}; without {', '.join(missing)}")
    return Goal(text, True, figures)


def gemm_goal(results: dict[str, Any], precision: str, least: float) -> Goal:
    text = f"{precision} products of {GEMM_LEAST} and above at {least:g}x cuBLAS"
    found = {}
    for shape, by_precision in results["gemm"].items():
        libraries = by_precision.get(precision, {})
        if min(map(int, shape.split("x"))) >= GEMM_LEAST and "torch" in libraries:
            found[shape] = min(kernel_ratios(libraries).values())
    if not found:
        return Goal(text, None, "-")
    figures = ", ".join(f"{shape} {ratio:.2f}" for shape, ratio in found.items())
    return Goal(text, min(found.values()) >= least, figures)


def accuracy_goal(steps: Iterable[dict[str, Any]]) -> Goal:
    text = f"weft mnist reaches {MNIST_ACCURACY:g} on the test images"
    for step in steps:
        found = (
            re.search(r"accuracy\s+([0-9.]+)", step["detail"]) if step["name"] == "mnist" else None
        )
        if found:
            return Goal(text, float(found[1]) >= MNIST_ACCURACY, found[1])
    return Goal(text, None, "-")


def with_findings(results: dict[str, Any]) -> dict[str, Any]:
    """The result with its ratios and goals, as it is written."""
    goals = [{"text": g.text, "met": g.met, "figures": g.figures} for g in check(results)]
    return {**results, "ratios": ratios(results), "goals": goals}


# --- the steps of an acceptance run ---


def read_steps(text: str) -> list[dict[str, Any]]:
    """Lines of name, outcome, seconds and detail between tabs; the last one for a name counts."""
    steps: dict[str, dict[str, Any]] = {}
    for line in filter(str.strip, text.splitlines()):
        name, outcome, seconds, detail = [*line.split("\t"), "", "", ""][:4]
        steps[name] = {
            "name": name, "outcome": outcome, "seconds": float(seconds or 0), "detail": detail,
        }  # fmt: skip
    return list(steps.values())


def merge_steps(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({step["name"]: step for step in [*old, *new]}.values())


# --- text ---


def to_markdown(results: dict[str, Any]) -> str:
    card = results["card"]
    versions = ", ".join(f"{key} {value}" for key, value in results["versions"].items())
    parts = [
        f"{card['name']}, driver {card['driver']} (CUDA {card['cuda']}), weft built by "
        f"{card['cuda_build']}; commit {results['commit']}; {results['date']}; {versions}"
    ]
    if results.get("steps"):
        rows = [
            [step["name"], step["outcome"], f"{step['seconds']:.0f}", step["detail"] or "-"]
            for step in results["steps"]
        ]
        parts += ["## Steps", table(["step", "outcome", "s", "detail"], rows)]
    if results["training"]:
        parts += [
            "## Training, images/s: median (lowest..highest block), weft's microseconds a step"
        ]
        parts += [_training_table(results)]
        parts += ["weft over each peer, ratio of medians (of best blocks): model.fit / resident"]
        parts += [_ratio_table(results)]
    for kind, title in (("gemm", "Products"), ("conv", "Convolutions")):
        if results[kind]:
            parts += [
                f"## {title}: weft's TFLOP/s, and over PyTorch's",
                _kernel_table(results, kind),
            ]
    for name, figures in results["micro"].items():
        shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        parts += [f"{name}: {shown}"]
    if results["left_out"]:
        parts += ["Left out: " + "; ".join(f"{k}: {v}" for k, v in results["left_out"].items())]
    return "\n\n".join(parts)


def goals_to_text(results: dict[str, Any]) -> str:
    return "\n".join(["## Goals", *(f"- {goal}" for goal in check(results))])


def _training_table(results: dict[str, Any]) -> str:
    names = [*OWN, *ALL_PEERS]
    rows = []
    for workload, precision, case in cases(results):
        peers = summaries(case)
        steps = [
            f"{1e6 * WORKLOADS[workload].batch / peers[own].median:.1f}" if own in peers else "-"
            for own in OWN
        ]
        cells = [rate_cell(peers.get(name)) for name in names]
        rows.append([f"{workload} {precision}", *cells, " / ".join(steps)])
    return table(["workload", *names, "us a step"], rows)


def _ratio_table(results: dict[str, Any]) -> str:
    rows = []
    for workload, by_precision in ratios(results)["training"].items():
        for precision, by_own in by_precision.items():
            row = [f"{workload} {precision}"]
            for peer in ALL_PEERS:
                pairs = [by_own.get(own, {}).get(peer) for own in OWN]
                cells = [f"{p['medians']:.2f} ({p['best']:.2f})" if p else "-" for p in pairs]
                row.append(" / ".join(cells))
            rows.append(row)
    return table(["workload", *ALL_PEERS], rows)


def _kernel_table(results: dict[str, Any], kind: str) -> str:
    rows: list[list[str]] = []
    roles: list[str] = []
    for shape, by_precision in results[kind].items():
        for precision, libraries in by_precision.items():
            roles = list(libraries["weft"])
            flops = results["flops"][kind][shape]
            for own, label in (("weft", precision), ("weft, tf32x3", "tf32x3")):
                if own not in libraries:
                    continue
                over = kernel_ratios(libraries, own) if "torch" in libraries else {}
                row = [f"{shape} {label}"]
                for role, seconds in libraries[own].items():
                    ratio = f" ({over[role]:.2f}x)" if role in over else ""
                    row.append(f"{flops / seconds * 1e-12:.3g}{ratio}")
                rows.append(row)
    return table(["shape", *roles], rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_report", description=__doc__)
    parser.add_argument("file", type=Path, help="written by python -m bench.gpu --out")
    parser.add_argument("--steps", type=Path, help="lines of name, outcome, seconds and detail")
    parser.add_argument(
        "--folder", type=Path, action="append", default=[],
        help="where to write the result as gpu-<card>.json; may be given twice",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    results = json.loads(options.file.read_text())
    if options.steps:
        steps = read_steps(options.steps.read_text())
        results["steps"] = merge_steps(results.get("steps", []), steps)
    print(to_markdown(results))
    print(goals_to_text(results))
    for folder in options.folder:
        path = folder / file_name(results["card"]["name"])
        write_json(path, with_findings(results))
        print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
