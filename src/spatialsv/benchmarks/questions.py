"""A benchmark of one's own: a file of questions about images or videos.

The file is as `scenes.readers.questions` describes it, or holds MindCube's lines or LLaVA's
conversations of one turn. Choices score 1 or 0, numbers their mean relative accuracy, words 1 if
they equal the answer after normalisation. Every question weighs the same.

`search` looks for the answer after the reasoning: an option's text, else a choice or a number by
VLMEvalKit's rules. `first_word` is the rule of the rooms, for models that answer briefly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

from spatialsv.benchmarks import rooms, vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.parsing import normalise_answer
from spatialsv.scenes.question import TASKS
from spatialsv.scenes.readers.record import Record, RecordError, parse_object, read_records
from spatialsv.scenes.readers.record_formats import parse as parse_record

NAME = "questions"
TAGGED = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
THINK_END = "</think>"


def load(data: Path) -> list[Item]:
    """Load the questions of a file.

    Args:
        data: JSON lines or one JSON list.

    Returns:
        The items. Where no scene is given, those that share an image, with each other or with a
        third, are of one.

    Raises:
        ValueError: `data` is not a file, or a record is invalid or has several turns.
    """
    if not data.is_file():
        found = "a folder" if data.is_dir() else "nothing"
        raise ValueError(f"{data}: expected a file of questions, *.jsonl or *.json; found {found}.")
    records = []
    for number, line, text in read_records(data, range(2**62)):
        try:
            records.append(_scorable(parse_record(parse_object(text, data, line), number)))
        except RecordError as error:
            hint = f"`spatialsv check-data {data}` lists all problems."
            raise ValueError(f"{data}:{line}: {str(error).rstrip('.')}. {hint}") from None
    scenes = _scenes([record.shown for record in records])
    return [_item(record, scene) for record, scene in zip(records, scenes, strict=True)]


def _scorable(record: Record) -> Record:
    """Return a record that can be scored; refuse a conversation of several turns."""
    if record.more:
        turns = f"{1 + len(record.more)} turns, which cannot be scored"
        raise RecordError("conversation", f"{turns}. Write one record for each question")
    return record


def _item(record: Record, scene: str) -> Item:
    return Item(
        id=record.id,
        task=record.category or record.task,
        kind=TASKS[record.task].kind,
        question=record.text,
        options=record.options,
        answer=record.answer,
        scene=record.scene or scene,
        images=() if record.video else record.shown,
        video=record.shown[0] if record.video else None,
        spatial=TASKS[record.task].spatial,
        more={"choices": dict(zip(ascii_uppercase, record.options, strict=False))},
    )


def _scenes(shown: Sequence[Sequence[str]]) -> list[str]:
    """Return the scene of each list of images: the first image of those that are connected."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = parents[parent]
            name = parents[name]
        return name

    for names in shown:
        for name in names[1:]:
            parents[root(name)] = root(names[0])
    return [root(names[0]) for names in shown]


def prompt(item: Item) -> str:
    """Return the question, which contains its options and what to answer."""
    return item.question


def search(item: Item, response: str) -> str | float | None:
    """Return the letter, the number or the words that a response concludes with, or None."""
    final = response.rpartition(THINK_END)[2]  # VLMEvalKit would take a letter before the tag
    if item.kind == "number":
        return vlmevalkit.search_number(final)
    if item.kind == "choice":
        return _search_option(final, item.more["choices"])
    tagged = TAGGED.findall(final)
    return normalise_answer(tagged[-1] if tagged else final) or None


def _search_option(response: str, choices: Mapping[str, str]) -> str | None:
    """Return the letter of an option whose text is the response, else by VLMEvalKit's rules."""
    said = normalise_answer(response)
    same = [letter for letter, text in choices.items() if normalise_answer(text) == said]
    if len(said) > 1 and len(same) == 1:
        return same[0]
    letter = vlmevalkit.search_choice(response)
    return letter if letter in choices else vlmevalkit.match_option(response, choices)


QUESTIONS = Benchmark(
    title="Your own questions",
    load=load,
    protocols={
        "search": Protocol(
            prompt=prompt, parse_response=search, score=rooms.score, aggregate=micro()
        ),
        "first_word": Protocol(
            prompt=prompt, parse_response=rooms.parse, score=rooms.score, aggregate=micro()
        ),
    },
    counts={},
    images_are_views=True,
)
