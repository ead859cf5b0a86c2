"""Rules that several scorers share, to the letter, slips included."""

from __future__ import annotations

import math
import re

import numpy as np

# What to answer, in the words of VSI-Bench's authors, which others took over.
LETTER = "Answer with the option's letter from the given choices directly."
WORD = "Please answer the question using a single word or phrase."
WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
WORDS += " fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(WORDS.split())}
NUMBER_WORDS |= {word: 20 + 10 * number for number, word in enumerate(TENS.split())}
NUMBER_WORDS |= {"hundred": 100, "thousand": 1000}
# linspace as VSI-Bench's code calls it: ten values, 0.5 to 0.95
THRESHOLDS = np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2))


def first_word(reply: str) -> str:
    """VSI-Bench's: the text before the first space, without dots at its end, stripped."""
    return reply.split(" ")[0].rstrip(".").strip()


def as_float(text: str | None) -> float | None:
    """`float(text)`, or None: Python's own rule, so that "nan", "inf" and "1_0" are numbers."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def mean_relative_accuracy(predicted: float | None, truth: float) -> float:
    """MRA of VSI-Bench's code (arXiv 2412.14171, Eq. 1, with <= in place of its <).

    The share of ten thresholds t, 0.5 to 0.95, with |predicted - truth| / |truth| <= 1 - t. Where
    the truth is 0, the absolute error stands in. 0 of no number. VSI-Bench, which has no truth of 0
    or less, divides by the truth itself; the bars and the rule for 0 are SPAR-Bench's.
    """
    if predicted is None or math.isnan(predicted):
        return 0.0
    error = abs(predicted - truth) / (abs(truth) if truth else 1.0)
    return float((error <= 1 - THRESHOLDS).mean())


def first_number(text: str) -> float | None:
    """lmms-eval's: the first number, in digits or in English words ("twenty-one"), None of none."""
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    start, words = _number_words(text)
    if digits and (start is None or digits.start() < start):
        return float(digits.group())
    return None if start is None else _value(words)


def _number_words(text: str) -> tuple[int | None, list[str]]:
    """Where the first run of number words starts, and the run, without its "and"s."""
    start, run = None, []
    for match in re.finditer("[a-z]+", text):
        word = match.group()
        if word in NUMBER_WORDS:
            start = match.start() if start is None else start
            run.append(word)
        elif start is not None and word != "and":
            break
    return start, run


def _value(words: list[str]) -> float:
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


def stated_letter(reply: str, letters: str) -> str | None:
    """lmms-eval's for BLINK (0.7.3): the one of `letters` that a reply states, in upper case.

    In turn: the first line, if it is but a letter; the last "answer is B"; the last "(B)"; a
    letter that starts the reply, in either case, and be it that of a word.
    """
    text = reply.strip()
    first = text.split("\n", 1)[0].strip()
    bare = re.match(rf"^\(?([{letters}])\)?[\.\s:,)]*$", first, flags=re.I)
    if bare and len(first) <= 4:
        return bare.group(1).upper()
    answers = rf"answers?(?:\s+is)?\s*[:\-]?\s*\(?([{letters}])\)?(?![A-Za-z])"
    found = re.findall(answers, text, flags=re.I) or re.findall(rf"\(([{letters}])\)", text)
    if found:
        return found[-1].upper()
    start = re.match(rf"[\(\s]*([{letters}])[\)\.\s]*", text, flags=re.I)
    return start.group(1).upper() if start else None
