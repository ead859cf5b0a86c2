"""lmms-eval's pick of a letter from free text (its `mcq_extract`, 0.7.3).

Every occurrence of a letter in some form is a candidate; the form that promises most wins, and
among candidates of one form the last.
"""

from __future__ import annotations

AT_ENDS = ",.!?;:'\""
PHRASES = (
    "the answer is|answer is|the correct answer is|correct answer is|the best answer is"
    "|best answer is|the correct option is|correct option is|the best option is|best option is"
    "|the choice is|choice is|the correct choice is|correct choice is|i choose|i select|i pick"
    "|my answer is|my choice is|옵션|정답은|답은|답:|答案是|答案为|选|答えは"
)
FORMS = {"({})": 6, "{}.": 5, "{}:": 4, "{})": 3, "{} ": 2}
START, END, AFTER_PHRASE, ANY = 10, 9, 7, 0


def pick_letter(reply: str, letters: str) -> str | None:
    """The letter that a reply most probably means; None where it contains none."""
    if not reply.strip():
        return None
    bare = reply.strip()
    for mark in AT_ENDS:
        bare = bare.strip(mark)
    text = f" {bare} "
    found = [*_in_forms(text, letters), *_after_phrases(text, letters), *_at_ends(text, letters)]
    found = found or [(ANY, text.rfind(name), name) for name in letters if name in text]
    return max(found, key=lambda one: one[:2])[2] if found else None


Candidate = tuple[int, int, str]  # how much its form promises, where it stands, the letter


def _in_forms(text: str, letters: str) -> list[Candidate]:
    return [
        (worth, text.rfind(form.format(name)), name)
        for form, worth in FORMS.items()
        for name in letters
        if form.format(name) in text
    ]


def _after_phrases(text: str, letters: str) -> list[Candidate]:
    """Each letter's first occurrence after each phrase's first."""
    lower, found = text.lower(), []
    for phrase in PHRASES.split("|"):
        start = lower.find(phrase)
        if start >= 0:
            places = [(text.find(name, start + len(phrase)), name) for name in letters]
            found += [(AFTER_PHRASE, place, name) for place, name in places if place >= 0]
    return found


def _at_ends(text: str, letters: str) -> list[Candidate]:
    """A letter at the start or the end that is no part of a word."""
    bare = text.strip()
    if not bare:
        return []
    starts = bare[0] in letters and not bare[1:2].isalpha()
    ends = bare[-1] in letters and not bare[-2:-1].isalpha()
    found = [(START, 0, bare[0])] if starts else []
    return found + ([(END, len(text) - 1, bare[-1])] if ends else [])
