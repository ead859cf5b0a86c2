"""CV-Bench (Cambrian-1, arXiv 2406.16860): counting, relations, depth and distance in images.

`official` (Cambrian's code) parses the first character after the last "answer is" or "answer:", and
averages by source: (ADE20K + COCO) / 2 for 2D, Omni3D for 3D, the mean of both overall.
`lmms_eval` (0.7.3) parses the first letter of the response, even as the start of a word, and
averages over the questions. `vlmevalkit` matches letters and texts, and averages 2D and 3D as the
authors do; it defines no overall score, so theirs is used.
"""

from __future__ import annotations

from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    group_means,
    mean_of_means,
    micro,
    score_letter,
    task_means,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.lmms_eval import first_letter
from spatialsv.benchmarks.parsing import LETTER
from spatialsv.io.fields import Fields

COUNTS = {"Count": 788, "Relation": 650, "Depth": 600, "Distance": 600}
SOURCES = {"ADE20K": "2D", "COCO": "2D", "Omni3D": "3D"}
FILES = ("test.jsonl", "test_*d.jsonl", "test.parquet", "test_*d.parquet")


def load(data: Path) -> list[Item]:
    """Load test.jsonl, or test_2d.jsonl and test_3d.jsonl, or Parquet of these names."""
    paths = find_files(data, *FILES)
    return [_item(row) for path in paths for row in read_rows(path, ("image",))]


def _item(row: Fields) -> Item:
    source, name = row.known("source", SOURCES), row.file("filename")
    row.known("type", [SOURCES[source]])
    choices = row.lettered("choices", row.options("choices"))
    return Item(
        id=row.label("idx"),
        task=row.known("task", COUNTS),
        kind="choice",
        question=row.text("question"),
        options=tuple(f"({letter}) {text}" for letter, text in choices.items()),
        answer=row.letter("answer", choices),
        scene=name,
        images=(name if name.startswith("img/") else f"img/{name}",),
        more={"choices": choices, "prompt": row.text("prompt"), "source": source},
    )


def prompt(item: Item) -> str:
    """Return the file's prompt, which contains the options, and the instruction."""
    return f"{item.more['prompt']}\n{LETTER}"


def prompt_lmms_eval(item: Item) -> str:
    """Return the instruction, an empty line, and the file's prompt."""
    letters = ", ".join(item.more["choices"])
    note = f"Note: You only need to respond with {letters} without providing any additional"
    return f"{note} information.\n\n{item.more['prompt']}"


def prompt_vlmevalkit(item: Item) -> str:
    """Return the file's prompt."""
    return item.more["prompt"]


def parse(item: Item, response: str) -> str | None:
    """Return a character in upper case, a letter or not."""
    text = response.lower().strip()
    for phrase in ("answer is", "answer is:", "answer:"):
        text = text.split(phrase)[-1]
    end = ".:," if item.more["source"] == "Omni3D" else "."
    text = text.strip().rstrip(end).lstrip("(").rstrip(")")
    return text[:1].upper() or None


def aggregate(scored: ScoredItems) -> Scores:
    """Average the sources' means within 2D and 3D, and these overall."""
    sources = group_means(scored, lambda item: item.more["source"], SOURCES)
    parts = {}
    for part in ("2D", "3D"):
        if means := [mean for source, mean in sources.items() if SOURCES[source] == part]:
            parts[part] = mean_of_means(means)
    tasks = {**task_means(scored, tuple(COUNTS)), **sources, **parts}
    return Scores(tree=mean_of_means(parts.values()), tasks=tasks)


CV_BENCH = Benchmark(
    title="CV-Bench",
    load=load,
    protocols={
        "official": Protocol(
            prompt=prompt, parse_response=parse, score=score_letter, aggregate=aggregate
        ),
        "lmms_eval": Protocol(
            prompt=prompt_lmms_eval,
            parse_response=first_letter,
            score=score_letter,
            aggregate=micro(tuple(COUNTS)),
        ),
        "vlmevalkit": Protocol(
            prompt=prompt_vlmevalkit,
            parse_response=vlmevalkit.parse,
            score=score_letter,
            aggregate=aggregate,
        ),
    },
    counts=COUNTS,
)
