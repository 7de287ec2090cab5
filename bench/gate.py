"""The throughput goals: each as met, not met or not measured, with its figures.

A ratio must hold both for the medians and for the best blocks, because some peers are bimodal:
their best block is the number to beat.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.stats import Summary, geometric_mean
from bench.workloads import WORKLOADS

Summaries = dict[str, dict[str, Summary]]
OneRow = dict[str, dict[str, dict[str, float]]]

DENSE = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8")
BEST_PEER = 1.3
BEST_PEER_MEAN = 1.9
BEST_PEER_ONE_THREAD = 1.2
STOCK_TORCH = 2.5
KERAS_TORCH = 3.0
SMALL_BEST_PEER = 2.5
SMALL = ("W1", "W2", "W3")
PEAK_SHARE = 0.75
AT_PEAK = ("W4", "W5", "W6", "W7", "W8")
CONVNETS = ("W9", "W10")
CONVNET_BEST_PEER = 2.0
CONVNET_STOCK_TORCH = 2.5
CONVNET_PEAK_SHARE = 0.60
OTHERS = ("W11", "W12")
OTHERS_BEST_PEER = 1.7
PREDICT_BEST_PEER = 1.5
ONE_ROW_US = 20.0


@dataclass(frozen=True)
class Goal:
    text: str
    met: bool | None  # None: not measured, or not for every workload it asks for
    figures: str

    def __str__(self) -> str:
        state = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        return f"{state}: {self.text} [{self.figures}]"


def check(
    threads: int, training: Summaries, predict: Summaries, one_row: OneRow, peak: float | None
) -> list[Goal]:
    """The goals for this number of threads; those for 2 threads apply to any number above 1."""
    if threads == 1:
        return [
            _ratios(f"training W1-W8 {BEST_PEER_ONE_THREAD}x the best peer", training, DENSE,
                    BEST_PEER_ONE_THREAD),
        ]  # fmt: skip
    stock = ("torch_eager",)
    return [
        _ratios(f"training W1-W8 {BEST_PEER}x the best peer", training, DENSE, BEST_PEER),
        _mean(f"training W1-W8 {BEST_PEER_MEAN}x the best peer on average", training, DENSE,
              BEST_PEER_MEAN),
        _ratios(f"training W1-W8 {STOCK_TORCH}x stock PyTorch", training, DENSE, STOCK_TORCH,
                stock),
        _ratios(f"training W1-W8 {KERAS_TORCH}x Keras on PyTorch", training, DENSE, KERAS_TORCH,
                ("keras_torch",)),
        _ratios(f"training W1-W3 {SMALL_BEST_PEER}x the best peer", training, SMALL,
                SMALL_BEST_PEER),
        _peak_shares("W4-W8", training, AT_PEAK, PEAK_SHARE, peak),
        _ratios(f"training W9-W10 {CONVNET_BEST_PEER}x the best peer", training, CONVNETS,
                CONVNET_BEST_PEER),
        _ratios(f"training W9-W10 {CONVNET_STOCK_TORCH}x stock PyTorch", training, CONVNETS,
                CONVNET_STOCK_TORCH, stock),
        _peak_shares("W9-W10", training, CONVNETS, CONVNET_PEAK_SHARE, peak),
        _ratios(f"training W11-W12 {OTHERS_BEST_PEER}x the best peer", training, OTHERS,
                OTHERS_BEST_PEER),
        _ratios(f"predict W1-W8 {PREDICT_BEST_PEER}x the best peer", predict, DENSE,
                PREDICT_BEST_PEER),
        _ratios(f"predict W9-W12 {PREDICT_BEST_PEER}x the best peer", predict,
                (*CONVNETS, *OTHERS), PREDICT_BEST_PEER),
        _latency(one_row),
    ]  # fmt: skip


def lesser_ratio(
    peers: dict[str, Summary], against: tuple[str, ...] | None = None
) -> tuple[float, str] | None:
    """The least ratio weft reaches, of medians or best blocks, and the peer it is against.

    The peer's name carries a ~ where noisy blocks had to be counted on either side.
    """
    weft = peers.get("weft")
    others = {
        name: summary
        for name, summary in peers.items()
        if name != "weft" and (against is None or name in against)
    }
    if weft is None or not others:
        return None
    ratio, name = min((min(weft.ratio_to(summary)), name) for name, summary in others.items())
    return ratio, name if weft.clean and others[name].clean else f"{name} ~"


def _ratios(
    text: str,
    found: Summaries,
    workloads: tuple[str, ...],
    least: float,
    against: tuple[str, ...] | None = None,
) -> Goal:
    ratios = {name: lesser_ratio(found.get(name, {}), against) for name in workloads}
    shown = [
        f"{name} {ratio[0]:.2f} {ratio[1]}" if ratio else f"{name} -"
        for name, ratio in ratios.items()
    ]
    values = [ratio[0] for ratio in ratios.values() if ratio]
    return Goal(text, _verdict([v >= least for v in values], len(workloads)), ", ".join(shown))


def _mean(text: str, found: Summaries, workloads: tuple[str, ...], least: float) -> Goal:
    ratios = [ratio for name in workloads if (ratio := lesser_ratio(found.get(name, {})))]
    if not ratios:
        return Goal(text, None, "-")
    mean = geometric_mean(ratio[0] for ratio in ratios)
    met = mean >= least if len(ratios) == len(workloads) else None
    return Goal(text, met, f"{mean:.2f} over {len(ratios)} workloads")


def _peak_shares(
    names: str, found: Summaries, workloads: tuple[str, ...], least: float, peak: float | None
) -> Goal:
    shares = {
        name: found[name]["weft"].median * WORKLOADS[name].train_flops / (peak * 1e9)
        for name in workloads
        if peak and "weft" in found.get(name, {})
    }
    return Goal(
        f"training {names} at {least:.0%} of the FMA peak or more",
        _verdict([share >= least for share in shares.values()], len(workloads)),
        ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) or "-",
    )


def _latency(one_row: OneRow) -> Goal:
    text = f"one row under {ONE_ROW_US:g} us"
    if "weft" not in one_row:
        return Goal(text, None, "-")
    best = min(times["median_us"] for times in one_row["weft"].values())
    return Goal(text, best < ONE_ROW_US, f"{best:.1f} us")


def _verdict(each: list[bool], wanted: int) -> bool | None:
    """One failure decides; success needs every workload asked for."""
    if not all(each):
        return False
    return True if len(each) == wanted else None
