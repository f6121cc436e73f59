"""Draws the plot: requests per job against mean delay. A script of its own, for the environment that has matplotlib.

From JSON on its input to an SVG at the place named: ``plot.py peers.svg``.
"""

from __future__ import annotations

import json
import math
import sys
from importlib import import_module
from typing import Any

_NEAR = 0.22  # how far apart, in natural logarithms, points may be that share a label
_LINE = 0.2  # how far apart, likewise, points must be for a line of text to fit between them
_RARELY = 35.0  # requests per job below which there is room to the left
_ENOUGH = 0.8  # the share of jobs that must be delivered for requests and delays to mean anything
_INK, _OURS, _THEIRS, _FAINT = "#1f2328", "#0b57d0", "#8a4b08", "#8c959f"

_Point = dict[str, Any]


def main() -> None:
    """Draw what is asked for."""
    asked = json.load(sys.stdin)
    plot: Any = import_module("matplotlib.pyplot")
    plot.rcParams.update({"font.size": 10, "svg.fonttype": "path", "svg.hashsalt": "peers"})
    figure, axes = plot.subplots(figsize=(8, 5.2), layout="constrained")
    _line(axes, asked["mean_s"])
    drawn = [point for point in asked["points"] if point["delivered"] >= _ENOUGH * asked["jobs"]]
    groups = as_groups(drawn)
    for group in groups:
        _mark(axes, group)
        _name(axes, group, _place(group, groups), asked["jobs"])
    _dress(axes, asked["jobs"], [point for point in asked["points"] if point not in drawn])
    figure.savefig(sys.argv[1], facecolor="white", metadata={"Date": None})


def as_groups(points: list[_Point]) -> list[list[_Point]]:
    """Points that would lie upon one another, ours and the others' apart; those with a ledger are one group."""
    groups: list[list[_Point]] = []
    for point in points:
        near = [group for group in groups if _is_alike(group[0], point) and (point["led"] or _is_near(group[0], point))]
        if near:
            near[0].append(point)
        else:
            groups.append([point])
    return groups


def _is_alike(one: _Point, other: _Point) -> bool:
    return all(one[name] == other[name] for name in ("ours", "led"))


def _is_near(one: _Point, other: _Point) -> bool:
    return all(abs(math.log(one[axis] / other[axis])) < _NEAR for axis in ("requests", "delay"))


def _line(axes: Any, mean: float) -> None:  # noqa: ANN401 - matplotlib is not installed where types are checked
    """Draw the line of clients that ask at fixed intervals: half an interval of delay, and a request each."""
    intervals = [0.1 * 1.1**step for step in range(59)]
    requests, delays = [2 + mean / each for each in intervals], [each / 2 for each in intervals]
    axes.plot(requests, delays, "--", color=_FAINT, lw=1, zorder=1)


def _mark(axes: Any, group: list[_Point]) -> None:  # noqa: ANN401
    for point in group:
        color, marker, size = (_OURS, "*", 15) if point["ours"] else (_THEIRS, "o", 7)
        place = (point["requests"], point["delay"])
        axes.plot(*place, marker, ms=size, zorder=3, mfc="none" if point["best"] else color, mec=color, mew=1.3)


def _place(group: list[_Point], groups: list[list[_Point]]) -> tuple[float, float, str, str]:
    """Return the place of a group's name: its offset in points, and its alignment."""
    first = group[0]
    if first["led"]:
        return (-6, -10, "left", "top")
    if first["ours"]:
        return (-11, 0, "right", "center")
    if len(group) == max(map(len, groups)):
        return (10, 42, "left", "bottom")  # many lines, above all else
    to_the_left = [other[0] for other in groups if other[0]["requests"] < first["requests"]]
    is_free = all(abs(math.log(other["delay"] / first["delay"])) > _LINE for other in to_the_left)
    is_left = is_free and first["requests"] < _RARELY
    return (-8, 0, "right", "center") if is_left else (9, 0, "left", "center")


def _name(axes: Any, group: list[_Point], place: tuple[float, float, str, str], jobs: int) -> None:  # noqa: ANN401
    right, up, horizontal, vertical = place
    ours = group[0]["ours"]
    axes.annotate(
        _label(group, jobs),
        (group[-1]["requests"], group[-1]["delay"]),
        xytext=(right, up),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=10 if ours else 8,
        fontweight="bold" if ours else "normal",
        color=_OURS if ours else _THEIRS,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        arrowprops={"arrowstyle": "-", "color": _FAINT, "lw": 0.7, "shrinkB": 5, "relpos": (0, 0)} if up > 0 else None,
    )


def _label(group: list[_Point], jobs: int) -> str:
    """One line a client: its settings, and how many jobs it lost sight of under them."""
    lines: dict[str, list[str]] = {}
    for point in group:
        missing = jobs - point["delivered"]
        said = point["label"] + (f" ({missing:.0f} jobs never known)" if missing else "")
        lines.setdefault(point["title"], []).append(said)
    return "\n".join(f"{title}: {'; '.join(said)}" for title, said in lines.items())


def _tick(value: float, _: object) -> str:
    return f"{value:g}"


def _dress(axes: Any, jobs: int, absent: list[_Point]) -> None:  # noqa: ANN401
    axes.set(xscale="log", yscale="log", xlim=(2, 6000), ylim=(0.03, 70))
    axes.set(xlabel="requests per job", ylabel="mean delay until the client knows, seconds")
    axes.set_title(f"{jobs} jobs at once, the same for all: lower and further left is better", fontsize=10.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_tick)
    axes.grid(visible=True, which="major", color="#e6e8eb", lw=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK)
    note = "\n".join(
        f"not drawn: {point['title']}, {point['label']}, which delivers {point['delivered']:.0f}" for point in absent
    )
    note += "\nfilled: as documented; hollow: best setting; dashed: any fixed interval"
    axes.annotate(note.strip(), (0.01, 0.015), xycoords="axes fraction", fontsize=8, color="#57606a")


if __name__ == "__main__":
    main()
