"""From a reply to a score.

One rule reads every reply. It is VSI-Bench's official one (the text before the first space,
without trailing dots) with two slips mended: leading white space is ignored, and a line break
ends the first word as a space does. So "B", "b.", "B. the chair" and "B\\nbecause" are all B,
while "(B)", "<answer>B</answer>" and "The answer is B" are no answer and score 0. The prompt asks
for the letter or the number alone; a model that fails to give that has failed.

A choice scores 1 or 0. A number scores its mean relative accuracy (MRA, arXiv 2412.14171): the
share of the ten tolerances 50 %, 45 %, ..., 5 % that its relative error does not exceed.
"""

from __future__ import annotations

import math
import re

import numpy as np

from spatialsv.scenes.question import Question
from spatialsv.stats.accuracy import mean_relative_accuracy

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def first_word(reply: str) -> str:
    """The reply up to its first white space, without trailing dots."""
    words = reply.split(maxsplit=1)
    return words[0].rstrip(".") if words else ""


def extract_choice(reply: str, options: int) -> str | None:
    """The letter that `reply` starts with, or None if it is none of the first `options` letters."""
    word = first_word(reply).upper()
    return word if len(word) == 1 and "A" <= word <= chr(ord("A") + options - 1) else None


def extract_number(reply: str) -> float | None:
    """The finite decimal number that `reply` starts with, or None."""
    word = first_word(reply)
    value = float(word) if NUMBER.fullmatch(word) else math.nan
    return value if math.isfinite(value) else None


def extract(reply: str, question: Question) -> str | float | None:
    """What `reply` says to `question`: a letter, a number, or None if it says neither."""
    if question.kind == "choice":
        return extract_choice(reply, len(question.options))
    return extract_number(reply)


def score(extracted: str | float | None, question: Question) -> float:
    """Score in [0, 1] of what was read from a reply; nothing read scores 0."""
    if extracted is None:
        return 0.0
    if question.kind == "choice":
        return float(extracted == question.answer)
    return float(mean_relative_accuracy(np.array(extracted), np.array(float(question.answer))))
