"""STI-Bench (arXiv 2503.23765): choices about space and time in videos, in 8 tasks.

- `official`: patterns such as "(A)" and "Answer: A" in turn; where none matches, the last character
  of the response, so that "I choose B" is B and "option b." has no prediction.
- `vlmevalkit` (EASI's): the prompt of the authors' script for APIs, and a search for the answer.

Both average over the questions. lmms-eval 0.7.3 lacks this benchmark.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro, score_letter
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.io.fields import Fields
from spatialsv.io.text import parse_json

TASKS = (
    "Dimensional Measurement",
    "Spatial Relation",
    "3D Video Grounding",
    "Displacement & Path Length",
    "Speed & Acceleration",
    "Ego-Centric Orientation",
    "Trajectory Description",
    "Pose Estimation",
)
LETTERS = "ABCDE"
PATTERNS = (
    r"\(([A-E])\)",
    r"Ans\s*=\s*['\"]?([A-E])['\"]?",
    r"Answer\s*[:=]\s*([A-E])",
    r"Option\s+([A-E])",
    r"\b([A-E])\s*(?:is|was)\s*correct",
    r"\b([A-E])[\.\)]\s*$",
)


def load(data: Path) -> list[Item]:
    """Load the questions of qa.parquet, on videos in the folder that video.zip unpacks to."""
    (path,) = find_files(data, "qa.parquet")
    folder = "videos" if (data / "videos").is_dir() else "video"  # the authors name it both ways
    return [_item(row, folder) for row in read_rows(path)]


def _item(row: Fields, folder: str) -> Item:
    video, options = row.file("Video"), _candidates(row)
    start, end = row.decimal("time_start"), row.decimal("time_end")
    return Item(
        id=f"{video}|{row.label('ID')}|{start}|{end}",  # as in the authors' script
        task=row.known("Task", TASKS),
        kind="choice",
        question=row.text("Question"),
        options=tuple(options.values()),
        answer=row.letter("Answer", options),
        scene=video,
        video=f"{folder}/{video}",
        more={"start": start, "end": end},  # in seconds, of the full video
    )


def _candidates(row: Fields) -> dict[str, str]:
    """Return texts by letter, from an object or from its JSON text."""
    value = row.get("Candidates")
    with suppress(ValueError):
        value = parse_json(value, "") if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise row.expected("Candidates", "an object")
    options = {name: text for name, text in value.items() if text is not None}
    if "".join(options) != LETTERS[: len(options)] or len(options) < 2:
        raise row.error("Candidates", f"expected A to E, found {', '.join(options)}")
    return {name: Fields(options, f"{row.where}: Candidates").label(name) for name in options}


def prompt(item: Item) -> str:
    """Return the prompt of the authors' script for open models."""
    options = [f"({name}) {text}" for name, text in zip(LETTERS, item.options, strict=False)]
    question = f"From {item.more['start']} s to {item.more['end']} s. {item.question}"
    return "\n".join([question, *options, "Please output only the option letter!"])


def prompt_vlmevalkit(item: Item) -> str:
    """Return VLMEvalKit's prompt for videos of unknown frame rate."""
    options = [f"{name} {text}" for name, text in zip(LETTERS, item.options, strict=False)]
    question = f"From {item.more['start']} seconds to {item.more['end']} seconds. {item.question}"
    lines = [
        "Answer the question below based on the frames provided, which are sampled at an"
        " unspecified frame rate.",
        f"Question: {question}",
        *options,
        "Please output only the option you choose!",
    ]
    return "\n".join(lines)


def parse(item: Item, response: str) -> str | None:
    """Return the letter of the first pattern that matches anywhere; else the last character."""
    for pattern in PATTERNS:
        if match := re.search(pattern, response, flags=re.I | re.M):
            return match.group(1).upper()
    last = response.strip()[-1:]
    return last if last and last in LETTERS else None


STI_BENCH = Benchmark(
    title="STI-Bench",
    load=load,
    protocols={
        "official": Protocol(
            prompt=prompt, parse_response=parse, score=score_letter, aggregate=micro(TASKS)
        ),
        "vlmevalkit": Protocol(
            prompt=prompt_vlmevalkit,
            parse_response=vlmevalkit.search,
            score=score_letter,
            aggregate=micro(TASKS),
        ),
    },
    counts={"overall": 2064},
)
