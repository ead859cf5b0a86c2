"""Measure the cost of supervision: time and memory of each arm's step against text only.

All arms share model, batch and views in one run and alternate; figures are medians of ratios. One
row runs the teacher in each step; the others read its features from the label store. Memory is
measured in a new process each. On a CPU it is the peak of resident memory above that after set-up
(Linux), on a GPU torch's allocated peak. See common/setups.py for model and batch.

    python perf/supervision_overhead.py [--repeats 5] [--processes 3] [--precision fp32]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from common.figures import Figure, parse, report, resident
from common.setups import conditions, make_setup, setup_parser
from common.training_step import ROWS, Side, seconds, sides_of


def peak_bytes(side: Side) -> int:
    """Return the peak of two steps: the optimiser's state exists from the second on."""
    if side.setup.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        side.step(), side.step()
        return torch.cuda.max_memory_allocated()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    side.step(), side.step()
    return resident("VmHWM") - before


def in_fresh_process(row: str, processes: int) -> int:
    """Return the peak memory of one row in bytes, the median over processes."""
    command = [sys.executable, *sys.argv, "--memory-of", row]
    peaks = [
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        for _ in range(processes)
    ]
    return round(statistics.median(map(int, peaks)))


def figures_of(
    times: list[dict[str, float]], memory: dict[str, int], mfu: dict[str, float]
) -> list[Figure]:
    """Return time and memory of each row relative to text only, and its FLOP utilisation."""
    figures = []
    for row in memory:
        if row != "text":
            ratio = statistics.median(repeat[row] / repeat["text"] for repeat in times)
            share = memory[row] / memory["text"]
            figures.append(Figure(comparison=f"time of a step, {row} / text", value=ratio))
            figures.append(Figure(comparison=f"memory of a step, {row} / text", value=share))
        if row in mfu:
            figures.append(Figure(comparison=f"MFU, {row}", value=100 * mfu[row], unit="%"))
    return figures


def main() -> None:
    """Parse the command line, measure and report."""
    parser = setup_parser(__doc__, processes=(3, 1))
    parser.add_argument("--peak", type=float, default=989, help="peak of the GPU in bf16, TFLOP/s")
    parser.add_argument("--memory-of", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parse(parser)
    setup = make_setup(arguments)
    if arguments.memory_of:
        print(peak_bytes(sides_of(setup, [arguments.memory_of])[arguments.memory_of]))
        return
    rows = [row for row, (_, runs_teacher) in ROWS.items() if setup.teacher or not runs_teacher]
    sides = sides_of(setup, rows)
    for side in sides.values():
        seconds(side)  # warm-up
    times = [{row: seconds(side) for row, side in sides.items()} for _ in range(arguments.repeats)]
    flops = {row: side.flops() for row, side in sides.items()} if setup.device == "cuda" else {}
    speed = {row: n / statistics.median(t[row] for t in times) for row, n in flops.items()}
    about = conditions(setup)
    del setup, sides, side
    gc.collect()
    torch.cuda.empty_cache()
    memory = {row: in_fresh_process(row, arguments.processes) for row in rows}
    mfu = {row: rate / arguments.peak / 1e12 for row, rate in speed.items()}
    report(arguments, about, figures_of(times, memory, mfu))


if __name__ == "__main__":
    main()
