"""STI-Bench (arXiv 2503.23765): choices about space and time in videos, in 8 tasks.

- `official`: patterns such as "(A)" and "Answer: A" in turn; where none matches, the last character
  of the response, so that "I choose B" is B and "option b." has no prediction.
- `vlmevalkit` (EASI's): the prompt of the authors' script for APIs, and a search for the answer.

Both average over the questions. lmms-eval 0.7.3 lacks this benchmark.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro, score_letter
from spatialsv.benchmarks.files import (
    Row,
    find_files,
    locate_rows,
    read_rows,
    require_fields,
    require_known,
)

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
FIELDS = ("Video", "ID", "Question", "Candidates", "Answer", "Task", "time_start", "time_end")
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
    return [_item(row, folder, where) for row, where in locate_rows(path, read_rows(path))]


def _item(row: Row, folder: str, where: str) -> Item:
    require_fields(row, FIELDS, where)
    task, video, options = row["Task"], row["Video"], _candidates(row["Candidates"], where)
    require_known(task, TASKS, "Task", where)
    require_known(row["Answer"], options, "Answer", where)
    start, end = row["time_start"], row["time_end"]
    return Item(
        id=f"{video}|{row['ID']}|{start}|{end}",  # as in the authors' script
        task=task,
        kind="choice",
        question=row["Question"],
        options=tuple(options.values()),
        answer=row["Answer"],
        scene=video,
        video=f"{folder}/{video}",
        more={"start": start, "end": end},  # in seconds, of the full video
    )


def _candidates(value: Any, where: str) -> dict[str, str]:
    """Return texts by letter, from an object or from its JSON text."""
    try:
        texts = json.loads(value) if isinstance(value, str) else value
        options = {name: text for name, text in texts.items() if text is not None}
    except (json.JSONDecodeError, AttributeError):
        raise ValueError(f"{where}: Candidates: expected an object, found {value!r}.") from None
    if "".join(options) != LETTERS[: len(options)]:
        raise ValueError(f"{where}: Candidates: expected A to E, found {', '.join(options)}.")
    return options


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
