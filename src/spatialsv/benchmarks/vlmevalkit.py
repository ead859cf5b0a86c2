"""VLMEvalKit's rules (at e8e78f05): choices in a TSV, and a search for the answer in free text.

`image_mcq` covers every multiple-choice TSV, here as `exact_matching`: without the language model
that may match a response with an option, so that a response without a match is wrong.
`spatial_bench` searches a long response by a chain of rules, each tried only where those before it
match nothing. Quirks are reproduced: a line that starts "A." answers in either case, and letters
are A to F whatever the options are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.parsing import NUMBER_WORDS
from spatialsv.io.fields import Fields

# Cells that pandas, with which it reads TSVs, takes for missing values.
NA = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None"
MISSING = {None, "", "n/a", "nan", "null", *NA.split("|")}
SELECT = "Please select the correct answer from the options above. \n"

REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
FAILED = "Failed to obtain answer via API"
SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
STATED = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
LAST_WORDS = 4  # of a response, in which a letter counts, since e8e78f05
REFUSED = "Z"

LINES, WINDOW = 6, 800  # lines and characters at a response's end
INVISIBLE = re.compile("[\u200b\u200c\u200d\ufeff]")
OPEN, CLOSE = r"[\(\[\{（【]?\s*", r"\s*[\)\]\}）】]?"
TAGGED = re.compile(r"<\s*answer\b[^>]*>\s*([A-J]).*?<\s*/\s*answer\s*>", re.I | re.S)
THINK_END = re.compile(r"</\s*think\s*>", re.I)
THINK_START = re.compile(r"<\s*think\s*>", re.I)
OPTION_LINE = re.compile(r"^(?:[*_>\-\s]*)(?:option|选项)\s+[A-J]\s*[:：]", re.I)
LETTER_LINE = re.compile(r"^\s*[*_`>（）\[\]【】\(\)]*\s*([A-Fa-f])\s*[*_`（）\[\]【】\(\)]*\s*$")
LABELLED_LINE = re.compile(r"^\s*([A-F])\s*[\.．:：\)\]】、-]\s+", re.I)
INLINE = re.compile(
    r"(?<![A-Za-z])[*_`（\[\{\(]*\s*([A-F])\s*[*_`）\]\}\)]*"
    r"(?=$|[\s\.,:;!?\)\]】》」』，。；、：）】》」』])"
)
CONCLUSION = (
    r"(?i)(?:final\s*answer|the\s*answer\s*is|answer(?:\s*is)?|correct\s*answer|答案|最终答案|结论"
    r"|所以|因此|我选(?:择)?|选择|选)\s*[:：>＝=]?\s*[\(\[\{（【]?\s*"
)
NUMBER = r"[-+]?(?:\d*\.\d+|\d+)(?:[eE][-+]?\d+)?"
TAGGED_NUMBER = re.compile(
    rf"<\s*answer\b[^>]*>\s*({NUMBER})(?:[^\d<][^<]*)?<\s*/\s*answer\s*>", re.I | re.S
)
SMALL = {word: number for word, number in NUMBER_WORDS.items() if number <= 20}
SMALL_WORD = re.compile(rf"\b({'|'.join(SMALL)})\b", re.I)


def item_from_row(row: Fields, scene: str | None = None, **more: Any) -> Item:
    """Return the item of a TSV's row.

    Args:
        row: its category is the task, its columns A, B, ... with a value are the options.
        scene: the item's; None: its image.
        more: for `Item.more`, with the options as `choices`.

    Returns:
        The item.

    Raises:
        ValueError: a column is missing or invalid, or the answer is not one of the options.
    """
    cells = {name: row.values.get(name) for name in ascii_uppercase}
    choices = {name: row.text(name) for name, cell in cells.items() if cell not in MISSING}
    if len(choices) < 2 or "".join(choices) != ascii_uppercase[: len(choices)]:
        found = ", ".join(choices) or "none"
        raise row.error(
            "A", f"expected options in the columns A, B, ... without a gap, found {found}"
        )
    return Item(
        id=row.label("index"),
        task=row.text("category"),
        kind="choice",
        question=row.text("question"),
        options=tuple(f"{letter}. {text}" for letter, text in choices.items()),
        answer=row.letter("answer", choices),
        scene=scene or row.text("image"),
        images=(row.text("image"),),
        more={"choices": choices, **more},
    )


def prompt(item: Item) -> str:
    """Return the hint (if there is one), the question, the options and the instruction."""
    hint = f"Hint: {item.more['hint']}\n" if item.more.get("hint") else ""
    return hint + format_choices(item.question, item.more["choices"])


def format_choices(question: str, choices: Mapping[str, str]) -> str:
    """Return the question, the options with their letters, and the instruction."""
    options = "".join(f"{letter}. {text}\n" for letter, text in choices.items())
    return f"Question: {question}\nOptions:\n{options}{SELECT}"


def parse(item: Item, response: str) -> str | None:
    """Return the letter of the option that a response names."""
    return match_option(response, item.more["choices"])


def match_option(response: str, options: Mapping[str, str], old: bool = False) -> str | None:
    """Return the letter of the option that a response names (VLMEvalKit's `can_infer`).

    A letter that is a word, if it is the only one of `options`; else "answer is B"; else the one
    option whose text the response contains.

    Args:
        response: any text.
        options: texts by letter.
        old: as before 2025: the letter may stand anywhere, "answer is" is not searched for, and
            texts are searched for in long responses as well.

    Returns:
        The letter; None: no match, or the response is a refusal.
    """
    letter = match_option_or_refusal(response, options, old)
    return None if letter == REFUSED else letter


def match_option_or_refusal(
    response: str, options: Mapping[str, str], old: bool = False
) -> str | None:
    """Match as `match_option` does; a response that refuses to answer gives `REFUSED`."""
    return _match_letter(response, options, old) or _match_text(response, options, old)


def _match_letter(response: str, options: Mapping[str, str], old: bool) -> str | None:
    if FAILED in response:
        return None
    if any(refusal in response for refusal in REFUSALS):
        return REFUSED
    words = response.translate(SEPARATORS).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and (old or words.index(letters[0]) >= len(words) - LAST_WORDS):
        return letters[0]
    if not letters and REFUSED in words:
        return REFUSED
    stated = None if old else STATED.search(response)
    return stated.group(1).upper() if stated and stated.group(1).upper() in options else None


def _match_text(response: str, options: Mapping[str, str], old: bool) -> str | None:
    if not old and len(response.lower()) > 2 * sum(map(len, options.values())):
        return None
    letters = [letter for letter, text in options.items() if text.lower() in response.lower()]
    return letters[0] if len(letters) == 1 else None


def search(item: Item, response: str) -> str | float | None:
    """Return the number or the letter that `search_number` or `search_choice` finds."""
    return search_number(response) if item.kind == "number" else search_choice(response)


def search_choice(response: str) -> str | None:
    """Return the letter, A to F, that a response concludes with, in upper case.

    In turn: an <answer> block; a letter before </answer> or </think>; the last lines after the
    thinking; the last lines of all; a phrase such as "the answer is"; a letter that is a word and
    the only one.
    """
    text = INVISIBLE.sub("", response.strip())
    if tagged := TAGGED.search(text):
        return tagged.group(1).upper()
    for tag in ("answer", "think"):
        before = rf"(?<![A-Za-z]){OPEN}([ABCDEF])\s*[\)\]\}}）】]?\s*</\s*{tag}\s*>"
        if match := re.search(before, text[-WINDOW:], re.I):
            return match.group(1).upper()
    for part in (_after_thinking(text), text[-WINDOW:]):
        if letter := _search_lines(part.splitlines()[-LINES:]):
            return letter
    if match := re.search(rf"{CONCLUSION}([ABCDEF])\s*[\)\]\}}）】]?(?:\b|[.)、。])", text):
        return match.group(1).upper()
    rest = "\n".join(line for line in text.splitlines() if not OPTION_LINE.search(line))
    letters = set(re.findall(rf"(?<![A-Za-z]){OPEN}([ABCDEF]){CLOSE}(?![A-Za-z])", rest))
    return letters.pop() if len(letters) == 1 else None


def search_number(response: str) -> float | None:
    """Return the number in an <answer> block, else the last one after the thinking.

    English words up to twenty are numbers.
    """
    text = INVISIBLE.sub("", _first_of_list(response).strip())
    text = SMALL_WORD.sub(lambda word: str(SMALL[word.group().lower()]), text)
    if tagged := TAGGED_NUMBER.search(text):
        return float(tagged.group(1))
    for part in (_after_thinking(text), text):
        if numbers := re.findall(NUMBER, part):
            return float(numbers[-1])
    return None


def _after_thinking(text: str) -> str:
    """Return the text after the last </think>, else after the last <think>, else all."""
    for tag in (THINK_END, THINK_START):
        if ends := [match.end() for match in tag.finditer(text)]:
            return text[ends[-1] :].strip()
    return text


def _search_lines(lines: Sequence[str]) -> str | None:
    """Search upwards for a line that is a letter, starts "A. ", or contains only one letter."""
    for line in reversed([line.strip() for line in lines if line.strip()]):
        if OPTION_LINE.search(line):
            continue
        if match := LETTER_LINE.fullmatch(line) or LABELLED_LINE.match(line):
            return match.group(1).upper()
        letters = set(INLINE.findall(line))
        if len(letters) == 1:
            return letters.pop()
    return None


def _first_of_list(response: str) -> str:
    """Return the first item of a response that is a Python list, else the response."""
    stripped = response.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        try:
            items = ast.literal_eval(response)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return ""  # VLMEvalKit's code fails on such a response, and parses no number
        return str(items[0]) if isinstance(items, list) and items else response
    return response
