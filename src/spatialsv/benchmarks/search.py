"""VLMEvalKit's search for an answer in a long reply (its `spatial_bench`, at e8e78f05).

A chain of rules, each tried only where those before it found nothing. Its rules are kept with
their quirks: a line that starts "A." answers in either case, and letters are A to F whatever the
options are, unless they are given.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from spatialsv.benchmarks.rules import NUMBER_WORDS

LINES, WINDOW = 6, 800  # of a reply's end
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


def search_choice(reply: str, letters: str = "ABCDEF") -> str | None:
    """The letter that a reply comes to, in upper case.

    In turn: an <answer> block; a letter before </answer> or </think>; the last lines after the
    thinking; the last lines of all; a phrase such as "the answer is"; a letter that stands alone
    and is the only one.
    """
    text = INVISIBLE.sub("", reply.strip())
    if found := TAGGED.search(text):
        return found.group(1).upper()
    for tag in ("answer", "think"):
        before = rf"(?<![A-Za-z]){OPEN}([{letters}])\s*[\)\]\}}）】]?\s*</\s*{tag}\s*>"
        if found := re.search(before, text[-WINDOW:], re.I):
            return found.group(1).upper()
    for part in (after_thinking(text), text[-WINDOW:]):
        if picked := _of_lines(part.splitlines()[-LINES:]):
            return picked
    if found := re.search(rf"{CONCLUSION}([{letters}])\s*[\)\]\}}）】]?(?:\b|[.)、。])", text):
        return found.group(1).upper()
    rest = "\n".join(line for line in text.splitlines() if not OPTION_LINE.search(line))
    alone = set(re.findall(rf"(?<![A-Za-z]){OPEN}([{letters}]){CLOSE}(?![A-Za-z])", rest))
    return alone.pop() if len(alone) == 1 else None


def search_number(reply: str) -> float | None:
    """The number that a reply comes to: in an <answer> block, else the last after the thinking.

    English words up to twenty are numbers.
    """
    text = INVISIBLE.sub("", _first_of_list(reply).strip())
    text = SMALL_WORD.sub(lambda word: str(SMALL[word.group().lower()]), text)
    if found := TAGGED_NUMBER.search(text):
        return float(found.group(1))
    for part in (after_thinking(text), text):
        if numbers := re.findall(NUMBER, part):
            return float(numbers[-1])
    return None


def after_thinking(text: str) -> str:
    """What follows the last </think>, else the last <think>, else all."""
    for tag in (THINK_END, THINK_START):
        if ends := [found.end() for found in tag.finditer(text)]:
            return text[ends[-1] :].strip()
    return text


def _of_lines(lines: Sequence[str]) -> str | None:
    """From the last line up: a letter by itself, "A. ...", or the one letter that stands in it."""
    for line in reversed([line.strip() for line in lines if line.strip()]):
        if OPTION_LINE.search(line):
            continue
        if found := LETTER_LINE.fullmatch(line) or LABELLED_LINE.match(line):
            return found.group(1).upper()
        letters = set(INLINE.findall(line))
        if len(letters) == 1:
            return letters.pop()
    return None


def _first_of_list(reply: str) -> str:
    """The first item of a reply that is a Python list."""
    bare = reply.strip()
    if bare.startswith("[") and bare.endswith("]"):
        try:
            items = ast.literal_eval(reply)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return ""  # its code fails on such a reply, and reads no number
        return str(items[0]) if isinstance(items, list) and items else reply
    return reply
