"""What VLMEvalKit does for every multiple-choice TSV (its `image_mcq`, at e8e78f05).

Without the language model that it may ask to match a reply with an option: its `exact_matching`,
in which a reply that its rules cannot match is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from spatialsv.benchmarks.files import Row, wanted
from spatialsv.benchmarks.item import Item

# Cells that pandas, with which it reads TSVs, takes for no value.
MISSING = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None"
MISSING = {None, "", "n/a", "nan", "null", *MISSING.split("|")}
SELECT = "Please select the correct answer from the options above. \n"
TO_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
NO_REPLY = "Failed to obtain answer via API"
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
IN_PHRASE = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
REFUSED = "Z"


def item_of(row: Row, where: str, scene: str | None = None, **more: Any) -> Item:
    """A TSV's row; its task is the category, its options are the columns A, B, ... with a value.

    Raises:
        ValueError: a column is missing, or the answer is none of the options.
    """
    wanted(row, ("index", "image", "question", "answer", "category"), where)
    choices = {name: row[name] for name in ascii_uppercase if row.get(name) not in MISSING}
    if row["answer"] not in choices:
        raise ValueError(f"{where}: answer {row['answer']!r} is none of {', '.join(choices)}")
    return Item(
        id=row["index"],
        task=row["category"],
        kind="choice",
        question=row["question"],
        options=tuple(f"{letter}. {text}" for letter, text in choices.items()),
        answer=row["answer"],
        scene=scene or row["image"],
        images=(row["image"],),
        more={"choices": choices, **more},
    )


def prompt(item: Item) -> str:
    """Hint (if there is one), question, options and what to do."""
    hint = f"Hint: {item.more['hint']}\n" if item.more.get("hint") else ""
    options = "".join(f"{option}\n" for option in item.options)
    return f"{hint}Question: {item.question}\nOptions:\n{options}{SELECT}"


def read(item: Item, reply: str) -> str | None:
    """The letter of the option that a reply names."""
    found = infer(reply, item.more["choices"])
    return None if found == REFUSED else found


def infer(reply: str, choices: Mapping[str, str]) -> str | None:
    """Its `can_infer`: by letter, else by the option's text.

    The letter is the only option's that stands alone among the reply's words, within its last four;
    or follows "answer is". The text is the only option's that the reply contains, in either case,
    unless the reply is more than twice as long as all options. A refusal is `REFUSED`.
    """
    found = None if NO_REPLY in reply else _by_letter(reply, choices)
    return found or _by_text(reply.lower(), choices)


def score(item: Item, said: str | None) -> float:
    """1 for the right letter."""
    return float(said == item.answer)


def _by_letter(reply: str, choices: Mapping[str, str]) -> str | None:
    if any(refusal in reply for refusal in REFUSALS):
        return REFUSED
    words = reply.translate(TO_SPACES).split()
    named = [letter for letter in choices if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and REFUSED in words:
        return REFUSED
    found = IN_PHRASE.search(reply)
    return found.group(1).upper() if found and found.group(1).upper() in choices else None


def _by_text(reply: str, choices: Mapping[str, str]) -> str | None:
    if len(reply) > 2 * sum(map(len, choices.values())):
        return None
    held = [letter for letter, text in choices.items() if text.lower() in reply]
    return held[0] if len(held) == 1 else None
