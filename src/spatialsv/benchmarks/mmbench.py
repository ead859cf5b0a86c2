"""MMBench (arXiv 2307.06281), the English development set: choices about single images.

Each question is in the file once for each rotation of its options: a row's index is its question's
plus a multiple of 1,000,000. `overall` and the abilities' scores are circular: a question counts as
correct if all of its rows are. The task `vanilla` is the accuracy on rows without rotation.

The authors' code is VLMEvalKit: `official` and `vlmevalkit` are one protocol, here without the
language model that may match a response with an option. `lmms_eval` is its static task (0.7.3): an
older form of these rules, which picks some letter where nothing matches.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    all_correct,
    mean_score,
    score_letter,
    task_means,
)
from spatialsv.benchmarks.files import find_files
from spatialsv.benchmarks.images import read_tsv_rows
from spatialsv.benchmarks.lmms_eval import pick_letter
from spatialsv.benchmarks.parsing import LETTER
from spatialsv.io.fields import Fields

FILE = "MMBench_DEV_EN.tsv"
ROTATION = 1_000_000
# lmms-eval's: what may surround a letter in a word, in turn.
AROUND = ("_.", "_,", "_:", "_)", "_).", "(_)", "(_).", ":_", ":_,", ":_.", ":_)", ":_).")


def load(data: Path) -> list[Item]:
    """Load all rows of MMBench_DEV_EN.tsv."""
    path = find_files(data, FILE)[0]
    return [_item(row) for row in read_tsv_rows(data, path)]


def _item(row: Fields) -> Item:
    hint = row.get("hint")
    return vlmevalkit.item_from_row(
        row,
        scene=str(row.count("index") % ROTATION),
        hint=None if hint in vlmevalkit.MISSING else hint,
        ability=row.text("l2-category"),
    )


def prompt_lmms_eval(item: Item) -> str:
    """Return the hint, the question, the options and the instruction in lmms-eval's words."""
    question = f"{item.more['hint']} {item.question}" if item.more["hint"] else item.question
    options = "\n".join(item.options)
    return f"{question} There are several options:\n{options}\n\n{LETTER}"


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """Return a letter A to E, else that of an option's text, else `pick_letter`'s.

    Options that the question lacks, up to D, have the text "nan" there.

    Args:
        item: the question.
        response: any text.

    Returns:
        A letter, or None.
    """
    response, choices = response.strip(), item.more["choices"]
    texts = {letter: choices.get(letter, "nan").lower() for letter in "ABCD"}
    contained = [letter for letter, text in texts.items() if text in response.lower()]
    by_text = contained[0] if len(contained) == 1 else None
    return _match_letter(response) or by_text or pick_letter(response, "ABCD")


def _match_letter(response: str) -> str | None:
    if vlmevalkit.FAILED in response:
        return None
    words, letters = set(response.split()), "ABCDE"
    named = [letter for letter in letters if letter in words]
    if len(named) == 1 and not ("A" in words and len(response.split()) > 3):
        return named[0]
    for form in AROUND:
        named = [letter for letter in letters if form.replace("_", letter) in words]
        if len(named) == 1:
            return named[0]
    return None


def aggregate(scored: ScoredItems) -> Scores:
    """Average over questions; rows without rotation in `vanilla`."""
    questions = all_correct(scored, lambda item: item.scene)
    unrotated = [pair for pair in scored if pair[0].id == pair[0].scene]
    abilities: dict[str, list[tuple[Item, float | None]]] = {}
    for item, value in questions:
        abilities.setdefault(item.more["ability"], []).append((item, value))
    tasks = {"vanilla": mean_score(unrotated), "circular": mean_score(questions)}
    tasks |= {name: mean_score(abilities[name]) for name in sorted(abilities)}
    return Scores(tree=tasks["circular"], tasks={**tasks, **task_means(questions)})


OFFICIAL = Protocol(
    prompt=vlmevalkit.prompt,
    parse_response=vlmevalkit.parse,
    score=score_letter,
    aggregate=aggregate,
)
MMBENCH = Benchmark(
    title="MMBench, English, development set",
    load=load,
    protocols={
        "official": OFFICIAL,
        "lmms_eval": replace(OFFICIAL, prompt=prompt_lmms_eval, parse_response=parse_lmms_eval),
        "vlmevalkit": OFFICIAL,
    },
    counts={"overall": 4329},
)
