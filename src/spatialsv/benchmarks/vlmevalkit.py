"""What VLMEvalKit does for every multiple-choice TSV (its `image_mcq`, at e8e78f05).

Without the language model that it may ask to match a reply with an option: its `exact_matching`,
in which a reply that its rules cannot match is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from spatialsv.benchmarks.files import Row, wanted
from spatialsv.benchmarks.infer import infer_choice
from spatialsv.benchmarks.item import Item

# Cells that pandas, with which it reads TSVs, takes for no value.
NA = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None"
MISSING = {None, "", "n/a", "nan", "null", *NA.split("|")}
SELECT = "Please select the correct answer from the options above. \n"


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
    return hint + form(item.question, item.more["choices"])


def form(question: str, choices: Mapping[str, str]) -> str:
    """Question, options by their letters, and what to do."""
    options = "".join(f"{letter}. {text}\n" for letter, text in choices.items())
    return f"Question: {question}\nOptions:\n{options}{SELECT}"


def read(item: Item, reply: str) -> str | None:
    """The letter of the option that a reply names."""
    return infer_choice(reply, item.more["choices"])
