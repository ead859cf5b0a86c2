"""Parsing rules that several protocols share, reproduced exactly, quirks included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import punctuation

from spatialsv.scenes.readers.record import LETTER_ONLY, WORD_ONLY

LETTER, WORD = LETTER_ONLY, WORD_ONLY
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_ONES.split())}
NUMBER_WORDS |= {word: 20 + 10 * number for number, word in enumerate(_TENS.split())}
NUMBER_WORDS |= {"hundred": 100, "thousand": 1000}

TYPING_ERRORS = {  # in SQA3D's answers
    "letf": "left",
    "let": "left",
    "tehre": "there",
    "rigth": "right",
    "rght": "right",
    "behine": "behind",
    "tv": "TV",
    "chai": "chair",
    "wasing": "washing",
    "waslked": "walked",
    "oclock": "o'clock",
}
DIGITS = {str(number): word for word, number in NUMBER_WORDS.items() if number <= 20}
DIGITS |= {"none": "zero", "23": "twenty-three"}


def first_word(response: str) -> str:
    """Return VSI-Bench's first word: the text before the first space, without dots at its end."""
    return response.split(" ")[0].rstrip(".").strip()


def as_float(text: str | None) -> float | None:
    """Return `float(text)`, or None: by Python's own rule, "nan", "inf" and "1_0" are numbers."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def normalise_answer(text: str) -> str:
    """Return SQuAD's form of an answer: lower case, no punctuation, articles or extra spaces."""
    kept = "".join(character for character in text.lower() if character not in punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def clean_answer(text: str) -> str:
    """Normalise an open answer as LEO and SQA3D's `eval_sqa3d_llm.py` do.

    Lower case; few symbols; typing errors corrected; the numbers 0 to 20 and 23 in words, "none"
    as zero. The digit after a word ("mat2") and articles before a word are removed.

    Args:
        text: an answer or a response.

    Returns:
        The normalised text.
    """
    text = re.sub(" +$", "", text.lower()).lstrip(" ")  # $ is before a line break as well
    text = re.sub(" {2,}", " ", text)
    text = re.sub(r"[^a-zA-Z0-9,'\s\-:]+", "", text)
    text = _replace_words(text, TYPING_ERRORS)
    text = re.sub(r"\bo'[ ]+clock\b", "o'clock", text)
    text = _replace_words(text, DIGITS)
    text = re.sub(r"\b([a-zA-Z]+)([0-9])\b", r"\g<1>", text)
    for article in ("a", "an", "the"):
        text = re.sub(rf"\b{article}\b ([a-zA-Z]+)", r"\g<1>", text)
    return re.sub(r"\bbackwards\b", "backward", text)


def _replace_words(text: str, words: dict[str, str]) -> str:
    return re.sub(rf"\b(?:{'|'.join(words)})\b", lambda match: words[match.group()], text)


def match_exact(prediction: str, answers: Sequence[str]) -> float:
    """Return EM@1: 1 if the prediction is one of the normalised answers."""
    return float(prediction in [clean_answer(answer) for answer in answers])


def match_refined(prediction: str, answers: Sequence[str]) -> float:
    """Return refined EM: 1 if, spaces removed, the prediction contains an answer or lies in one.

    An empty prediction lies in every answer.
    """
    prediction = "".join(prediction.split())
    normalised = ["".join(clean_answer(answer).split()) for answer in answers]
    return float(any(prediction in answer or answer in prediction for answer in normalised))


def match_first(prediction: str, answers: Sequence[str]) -> float:
    """Return LEO's EM@1: `match_exact` of the first answer that matches as in `match_refined`."""
    for answer in answers:
        if match_exact(prediction, [answer]) or match_refined(prediction, [answer]):
            return match_exact(prediction, [answer])
    return 0.0
