"""OST-Bench (arXiv 2507.07984): questions to an agent while it explores a room.

An item is a turn of the dialogue about one scan. Turns come in order, each with the images taken
since the last one, and all earlier turns and responses belong to its context. Turns without a
question, and those on the size of a room, are prompted and not scored.

- `official`: the answer is extracted from a JSON-like response. Choices go to the option with the
  longest common subsequence, the first among equals; numbers get MRA with < where VSI-Bench has <=;
  counts may be English words, which are searched for inside of words ("none" contains "one").
  Empty responses are skipped.
- `vlmevalkit`: the same, and responses that contain "Failed" are skipped too. It sends each
  question separately, with all earlier ones in one text that the release lacks; its prompt here is
  the turn's.

Both average variants first, then the questions of each of eight groups, then the groups.
lmms-eval 0.7.3 lacks this benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    mean_of_means,
    task_means,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.parsing import NUMBER_WORDS, as_float
from spatialsv.io.fields import Fields
from spatialsv.stats.means import MeanOfMeans, Tree

STATE, INFO, SPATIAL = "Agent_state", "Agent_visible_info", "Agent_object_spatial"
VARIANTS = {  # in parts that are averaged first
    f"{SPATIAL}-direction(Judgement)": (1, 2, 3),
    f"{SPATIAL}-distance(Judgement)": (1, 2, 3),
    f"{INFO}-existence(Temporal-loc)": (1, 2),
}
GROUPS = {
    "A_state(Judge)": (f"{STATE}-orientation(Judgement)", f"{STATE}-position(Judgement)"),
    "A_state(Esti)": (f"{STATE}-orientation(Estimation)", f"{STATE}-position(Estimation)"),
    "A_info(Judge)": tuple(
        f"{INFO}-{what}(Judgement)" for what in ("existence", "order", "diversity")
    ),
    "A_info(Temp)": (f"{INFO}-existence(Temporal-loc)",),
    "A_info(Count)": (f"{INFO}-quantity(Counting)",),
    "AO(Judge)": (f"{SPATIAL}-direction(Judgement)", f"{SPATIAL}-distance(Judgement)"),
    "AO(Esti)": (f"{SPATIAL}-direction(Estimation)", f"{SPATIAL}-distance(Estimation)"),
    "AO(Temp)": (f"{SPATIAL}-direction(Temporal-loc)", f"{SPATIAL}-distance(Temporal-loc)"),
}
PARTS = {name: tuple(f"{name[:-1]}{n})" for n in numbers) for name, numbers in VARIANTS.items()}
TASKS = tuple(
    part for names in GROUPS.values() for name in names for part in PARTS.get(name, (name,))
)
NO_QUESTION = "None"
WORDS = tuple(word for word, number in NUMBER_WORDS.items() if number <= 10)
MARGINS = tuple(1 - (0.5 + 0.05 * step) for step in range(10))


def load(data: Path) -> list[Item]:
    """Load the turns of OST_bench.json, of each scan in order."""
    (path,) = find_files(data, "OST_bench.json")
    return [_item(row) for row in read_rows(path)]


def _item(row: Fields) -> Item:
    name, scene, images = row.text("type"), row.file("scan_id"), row.get("new_observations")
    task, turn, options = reported_name(name), row.count("turn_id"), row.texts("option")
    if task not in (*TASKS, NO_QUESTION):
        raise row.expected("type", f"one of {', '.join(TASKS)}")
    kind, answer = _kind(task), str(row.get("answer"))
    if kind == "choice" and not options:
        raise row.expected("option", "a list of options")
    if kind == "choice" and (answer := row.label("answer").replace('"', "")) not in options:
        raise row.expected("answer", f"one of the options {', '.join(options)}")
    return Item(
        id=f"{scene}/{turn}",
        task=task,
        kind=kind,
        question=row.optional_text("user_message"),
        options=options,
        answer=row.decimal("answer") if kind == "number" else answer,
        scene=scene,
        images=tuple(f"images/{name}" for name in row.files("new_observations")) if images else (),
        more={"turn": turn, "system": row.optional_text("system_prompt")},
    )


def reported_name(name: str) -> str:
    """Return the name under which the authors report a type; VLMEvalKit's files have another."""
    if name == "A_room-size(float)":
        return NO_QUESTION
    name = name.replace("float", "Estimation").replace("option", "Judgement")
    name = name.replace("int", "Counting" if "quantity" in name else "Temporal-loc")
    return (
        name.replace("A_object-", f"{INFO}-")
        .replace("AO_", f"{SPATIAL}-")
        .replace("A_", f"{STATE}-")
    )


def _kind(task: str) -> Literal["choice", "number", "text"]:
    if task == NO_QUESTION:
        return "text"
    return "choice" if "Judgement" in task else "number"


def prompt(item: Item) -> str:
    """Return the turn's message; `more["system"]` and the turn's images come before it."""
    return item.question


def parse(item: Item, response: str) -> str | None:
    """Return the value of "answer" if the response has a "reason" as well, else all of it."""
    if not response:
        return None
    text = response.replace("'", '"')
    if "reason" not in text or "answer" not in text:
        return text.strip('"')
    for start, end in (('"answer":', '"reason"'), ("answer:", "reason")):
        if start in text:
            return _between(text, start, end).strip('"')
    return ""


def _between(text: str, start: str, end: str) -> str:
    """Return the line after the first `start`, up to `end`, without commas around it."""
    return text.split(start)[1].split(end)[0].split("\n")[0].strip().strip(",").strip()


def parse_vlmevalkit(item: Item, response: str) -> str | None:
    """Parse as `parse` does; a response with "Failed" has no prediction."""
    return None if "Failed" in response else parse(item, response)


def score(item: Item, prediction: str | None) -> float | None:
    """Return the score by the type of question; None: the protocol skips it."""
    if prediction is None or item.task == NO_QUESTION:
        return None
    if item.kind == "choice":
        return float(nearest(prediction, item.options) == item.answer)
    return (
        _estimate(prediction, item.answer)
        if "Estimation" in item.task
        else _count(prediction, item.answer)
    )


def nearest(prediction: str, options: Sequence[str]) -> str:
    """Return the first of the options with the longest common subsequence, in either case."""
    prediction = prediction.strip().lower()
    return max(options, key=lambda option: common_subsequence(option.strip().lower(), prediction))


def common_subsequence(short: str, long: str) -> int:
    """Return the length of the longest common subsequence, by bits (Hyyrö 2004)."""
    positions: dict[str, int] = {}
    for position, letter in enumerate(short):
        positions[letter] = positions.get(letter, 0) | 1 << position
    mask = (1 << len(short)) - 1
    free = mask  # a 0 for each letter of `short` that lengthens the subsequence
    for letter in long:
        hit = free & positions.get(letter, 0)
        free = (free + hit | free - hit) & mask
    return len(short) - free.bit_count()


def _estimate(prediction: str, answer: str) -> float:
    """Return MRA with a strict bound; 0 where the truth is 0, by which the authors divide."""
    number, truth = as_float(prediction), float(answer)
    if number is None or truth == 0:
        return 0.0
    error = abs(truth - number) / abs(truth)
    return 0.1 * sum(error < margin for margin in MARGINS)


def _count(prediction: str, answer: str) -> float:
    """Return 1 for the integer in digits, or as the first of the words zero to ten in the text."""
    word = next((word for word in WORDS if word in prediction.lower()), None)
    try:
        number = int(prediction) if word is None else NUMBER_WORDS[word]
    except ValueError:
        return 0.0
    return float(number == int(float(answer)))


def aggregate(scored: ScoredItems) -> Scores:
    """Average the eight groups' means, of those that have questions."""
    tasks = task_means(scored, TASKS)
    groups = {}
    for group, names in GROUPS.items():
        means = [_mean_of_parts(tasks, PARTS.get(name, (name,))) for name in names]
        if present := [mean for mean in means if mean is not None]:
            groups[group] = mean_of_means(present)
    return Scores(tree=mean_of_means(groups.values()), tasks={**tasks, **groups})


def _mean_of_parts(tasks: Mapping[str, Tree], names: Sequence[str]) -> MeanOfMeans | None:
    present = [tasks[name] for name in names if name in tasks]
    return mean_of_means(present) if present else None


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=aggregate)
OST_BENCH = Benchmark(
    title="OST-Bench",
    load=load,
    protocols={
        "official": OFFICIAL,
        "vlmevalkit": replace(OFFICIAL, parse_response=parse_vlmevalkit),
    },
    counts={},
)
