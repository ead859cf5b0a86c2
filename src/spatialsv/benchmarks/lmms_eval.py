"""lmms-eval's parsers (0.7.3): a letter in free text, a stated or first letter, a first number."""

from __future__ import annotations

import re

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.parsing import NUMBER_WORDS

EDGE_MARKS = ",.!?;:'\""
PHRASES = (
    "the answer is|answer is|the correct answer is|correct answer is|the best answer is"
    "|best answer is|the correct option is|correct option is|the best option is|best option is"
    "|the choice is|choice is|the correct choice is|correct choice is|i choose|i select|i pick"
    "|my answer is|my choice is|옵션|정답은|답은|답:|答案是|答案为|选|答えは"
)
FORMS = {"({})": 6, "{}.": 5, "{}:": 4, "{})": 3, "{} ": 2}  # and their priorities
START, END, AFTER_PHRASE, ANYWHERE = 10, 9, 7, 0  # priorities
Candidate = tuple[int, int, str]  # priority, position, letter


def pick_letter(response: str, letters: str) -> str | None:
    """Return the letter that free text most probably means (lmms-eval's `mcq_extract`).

    Each occurrence of a letter in some form is a candidate. The form of the highest priority wins,
    and among candidates of one form the last.

    Args:
        response: any text.
        letters: those of the options.

    Returns:
        The letter, or None where the text contains none.
    """
    if not response.strip():
        return None
    stripped = response.strip()
    for mark in EDGE_MARKS:
        stripped = stripped.strip(mark)
    text = f" {stripped} "
    candidates = [
        *_in_forms(text, letters),
        *_after_phrases(text, letters),
        *_at_ends(text, letters),
    ] or [(ANYWHERE, text.rfind(name), name) for name in letters if name in text]
    return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


def _in_forms(text: str, letters: str) -> list[Candidate]:
    return [
        (priority, text.rfind(form.format(name)), name)
        for form, priority in FORMS.items()
        for name in letters
        if form.format(name) in text
    ]


def _after_phrases(text: str, letters: str) -> list[Candidate]:
    """Return each letter's first occurrence after each phrase's first."""
    lower, candidates = text.lower(), []
    for phrase in PHRASES.split("|"):
        start = lower.find(phrase)
        if start >= 0:
            positions = [(text.find(name, start + len(phrase)), name) for name in letters]
            candidates += [(AFTER_PHRASE, at, name) for at, name in positions if at >= 0]
    return candidates


def _at_ends(text: str, letters: str) -> list[Candidate]:
    """Return a letter at the start or the end that is not part of a word."""
    stripped = text.strip()
    if not stripped:
        return []
    starts = stripped[0] in letters and not stripped[1:2].isalpha()
    ends = stripped[-1] in letters and not stripped[-2:-1].isalpha()
    candidates = [(START, 0, stripped[0])] if starts else []
    return candidates + ([(END, len(text) - 1, stripped[-1])] if ends else [])


def stated_letter(response: str, letters: str) -> str | None:
    """Return the letter that a response states, in upper case (lmms-eval's rule for BLINK).

    In turn: the first line, if it is only a letter; the last "answer is B"; the last "(B)"; a
    letter that starts the response, in either case, even as the start of a word.

    Args:
        response: any text.
        letters: those of the options.

    Returns:
        The letter, or None.
    """
    text = response.strip()
    first_line = text.split("\n", 1)[0].strip()
    only = re.match(rf"^\(?([{letters}])\)?[\.\s:,)]*$", first_line, flags=re.I)
    if only and len(first_line) <= 4:
        return only.group(1).upper()
    answers = rf"answers?(?:\s+is)?\s*[:\-]?\s*\(?([{letters}])\)?(?![A-Za-z])"
    stated = re.findall(answers, text, flags=re.I) or re.findall(rf"\(([{letters}])\)", text)
    if stated:
        return stated[-1].upper()
    start = re.match(rf"[\(\s]*([{letters}])[\)\.\s]*", text, flags=re.I)
    return start.group(1).upper() if start else None


def first_letter(item: Item, response: str) -> str | None:
    """Return the letter, of any kind and case, that a response starts with, in upper case.

    Spaces and opening brackets before it are skipped: "(b) a bed" is B, "The answer is B" is T.
    """
    match = re.match(r"[\(\s]*([A-Z])", response.strip(), re.IGNORECASE)
    return match.group(1).upper() if match else None


def first_number(text: str) -> float | None:
    """Return the first number, in digits or in English words ("twenty-one"), or None."""
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    start, words = _number_words(text)
    if digits and (start is None or digits.start() < start):
        return float(digits.group())
    return None if start is None else _number_of(words)


def _number_words(text: str) -> tuple[int | None, list[str]]:
    """Return the start of the first run of number words, and the run without each "and"."""
    start, run = None, []
    for match in re.finditer("[a-z]+", text):
        word = match.group()
        if word in NUMBER_WORDS:
            start = match.start() if start is None else start
            run.append(word)
        elif start is not None and word != "and":
            break
    return start, run


def _number_of(words: list[str]) -> float:
    total = current = 0
    for word in words:
        value = NUMBER_WORDS[word]
        if value == 100:
            current = max(current, 1) * 100
        elif value == 1000:
            total, current = total + max(current, 1) * 1000, 0
        else:
            current += value
    return float(total + current)
