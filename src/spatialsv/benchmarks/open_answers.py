"""Answers in words of one's own, as SQA3D's code (eval_sqa3d_llm.py) and LEO compare them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spatialsv.benchmarks.rules import NUMBER_WORDS

SLIPS = {  # of those who wrote SQA3D's answers
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


def clean_answer(text: str) -> str:
    """LEO's: lower case, few symbols, slips mended, numbers in words, hardly an article.

    A number is written out if it is one of 0 to 20 and 23, "none" is zero, the digit after a word
    ("mat2") goes, and so do articles before a word.
    """
    text = re.sub(" +$", "", text.lower()).lstrip(" ")  # $ is before a line break as well
    text = re.sub(" {2,}", " ", text)
    text = re.sub(r"[^a-zA-Z0-9,'\s\-:]+", "", text)
    text = _replaced(text, SLIPS)
    text = re.sub(r"\bo'[ ]+clock\b", "o'clock", text)
    text = _replaced(text, DIGITS)
    text = re.sub(r"\b([a-zA-Z]+)([0-9])\b", r"\g<1>", text)
    for article in ("a", "an", "the"):
        text = re.sub(rf"\b{article}\b ([a-zA-Z]+)", r"\g<1>", text)
    return re.sub(r"\bbackwards\b", "backward", text)


def _replaced(text: str, words: dict[str, str]) -> str:
    return re.sub(rf"\b(?:{'|'.join(words)})\b", lambda found: words[found.group()], text)


def exact(said: str, answers: Sequence[str]) -> float:
    """EM@1: 1 if it is one of the cleaned answers."""
    return float(said in [clean_answer(answer) for answer in answers])


def refined(said: str, answers: Sequence[str]) -> float:
    """Refined EM: 1 if it lies in one of them, or one in it, spaces apart. So does no reply."""
    said = "".join(said.split())
    bare = ["".join(clean_answer(answer).split()) for answer in answers]
    return float(any(said in answer or answer in said for answer in bare))


def first_match(said: str, answers: Sequence[str]) -> float:
    """LEO's EM@1: as `exact`, but 0 if an answer before the equal one matches as in `refined`."""
    for answer in answers:
        if exact(said, [answer]) or refined(said, [answer]):
            return exact(said, [answer])
    return 0.0
