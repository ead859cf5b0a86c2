"""VLMEvalKit's older rule for a choice (its `can_infer`): a letter among the words, or an option.

It is what VLMEvalKit does under `exact_matching`; with a judge it asks a model where this rule
finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
FAILED = "Failed to obtain answer via API"
BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
STATED = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
LAST = 4  # words of a reply in which a letter counts, since e8e78f05
REFUSED = "Z"


def infer_choice(reply: str, options: Mapping[str, str], old: bool = False) -> str | None:
    """The letter of the option that a reply names.

    A letter that stands alone, if it is the only one of `options`; else "answer is B"; else the
    one option whose text the reply contains.

    Args:
        options: texts by letter.
        old: as before 2025: the letter may stand anywhere, "answer is" is not looked for, and
            texts are looked for in long replies as well.
    """
    found = infer(reply, options, old)
    return None if found == REFUSED else found


def infer(reply: str, options: Mapping[str, str], old: bool = False) -> str | None:
    """As `infer_choice`; a reply that refuses to answer is `REFUSED`."""
    return _letter(reply, options, old) or _text(reply, options, old)


def _letter(reply: str, options: Mapping[str, str], old: bool) -> str | None:
    if FAILED in reply:
        return None
    if any(refusal in reply for refusal in REFUSALS):
        return REFUSED
    words = reply.translate(BLANKED).split()
    found = [letter for letter in options if letter in words]
    if len(found) == 1 and (old or words.index(found[0]) >= len(words) - LAST):
        return found[0]
    if not found and REFUSED in words:
        return REFUSED
    stated = None if old else STATED.search(reply)
    return stated.group(1).upper() if stated and stated.group(1).upper() in options else None


def _text(reply: str, options: Mapping[str, str], old: bool) -> str | None:
    if not old and len(reply.lower()) > 2 * sum(map(len, options.values())):
        return None
    found = [letter for letter, text in options.items() if text.lower() in reply.lower()]
    return found[0] if len(found) == 1 else None
