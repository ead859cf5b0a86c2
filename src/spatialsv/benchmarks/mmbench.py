"""MMBench (arXiv 2307.06281), the English development set: choices about single images.

Each question stands in the file with its options turned as well: a row's index is its question's
plus a multiple of 1,000,000. `overall` and the abilities' scores are circular: a question is right
where all of its rows are; the task `vanilla` is the share of right answers among unturned rows.

The authors' code is VLMEvalKit: `official` and `vlmevalkit` are one, here without the language
model that may match a response with an option. `lmms_eval` is its static task (0.7.3), which goes on
to pick some letter where its older form of these rules finds none.
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
from spatialsv.benchmarks.files import Row, find_files, locate_rows, require_fields
from spatialsv.benchmarks.images import read_tsv_rows
from spatialsv.benchmarks.lmms_eval import pick_letter
from spatialsv.benchmarks.parsing import LETTER

FILE = "MMBench_DEV_EN.tsv"
TURN = 1_000_000
# What may surround a letter in a word, in turn: lmms-eval's.
AROUND = ("_.", "_,", "_:", "_)", "_).", "(_)", "(_).", ":_", ":_,", ":_.", ":_)", ":_).")


def load(data: Path) -> list[Item]:
    """The rows, turned ones too.

    Args:
        data: a folder with MMBench_DEV_EN.tsv.

    Raises:
        ValueError: no such file, or rows that are not MMBench's.
    """
    path = find_files(data, FILE)[0]
    return [_item(*at) for at in locate_rows(path, read_tsv_rows(data, path))]


def _item(row: Row, where: str) -> Item:
    require_fields(row, ("index", "hint", "l2-category"), where)
    if not str(row["index"]).isdigit():
        raise ValueError(f"{where}: expected a whole index, found {row['index']!r}")
    hint = None if row["hint"] in vlmevalkit.MISSING else row["hint"]
    question = str(int(row["index"]) % TURN)
    return vlmevalkit.item_from_row(
        row, where, scene=question, hint=hint, ability=row["l2-category"]
    )


def prompt_lmms_eval(item: Item) -> str:
    """Hint, question, options and what to do, in lmms-eval's words."""
    asked = f"{item.more['hint']} {item.question}" if item.more["hint"] else item.question
    options = "\n".join(item.options)
    return f"{asked} There are several options:\n{options}\n\n{LETTER}"


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """A letter among A to E, else an option's text, else what `pick_letter` picks.

    Options that the question lacks, up to D, have the text "nan" there.
    """
    response, choices = response.strip(), item.more["choices"]
    texts = {letter: choices.get(letter, "nan").lower() for letter in "ABCD"}
    held = [letter for letter, text in texts.items() if text in response.lower()]
    found = _by_letter(response) or (held[0] if len(held) == 1 else None)
    return found or pick_letter(response, "ABCD")


def _by_letter(response: str) -> str | None:
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
    """By question; unturned rows alone in `vanilla`."""
    questions = all_correct(scored, lambda item: item.scene)
    unturned = [pair for pair in scored if pair[0].id == pair[0].scene]
    abilities: dict[str, list[tuple[Item, float | None]]] = {}
    for item, value in questions:
        abilities.setdefault(item.more["ability"], []).append((item, value))
    tasks = {"vanilla": mean_score(unturned), "circular": mean_score(questions)}
    tasks |= {name: mean_score(abilities[name]) for name in sorted(abilities)}
    return Scores(tree=tasks["circular"], tasks=tasks | task_means(questions))


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
