"""TopViewRS (arXiv 2406.02537): what a map, seen from above, shows and where.

From VLMEvalKit's TopViewRS.tsv and by its rules alone: the authors publish no code, and lmms-eval
does not have this benchmark. `vlmevalkit` counts exact matches. `vlmevalkit_partial` counts the
words that two options share, |both| / max(|one|, |other|), where the option that a reply names is
the one whose letter is the reply's last word: "A" and "I say A." name one, "A. left" does not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Scorer, micro, right_letter
from spatialsv.benchmarks.files import find, placed
from spatialsv.benchmarks.images import tsv_rows
from spatialsv.benchmarks.infer import infer
from spatialsv.benchmarks.item import Item

FILE = "TopViewRS.tsv"


def load(data: Path) -> list[Item]:
    """The questions.

    Args:
        data: a folder with TopViewRS.tsv.

    Raises:
        ValueError: no such file, or rows that are not of such a TSV.
    """
    path = find(data, FILE)[0]
    return [vlmevalkit.item_of(*at) for at in placed(path, tsv_rows(data, path))]


def read_partial(item: Item, reply: str) -> str | None:
    """The reply's last word, or what stands in its brackets, if it is an option's letter.

    A reply that cannot be matched with an option names none.
    """
    if infer(reply, item.more["choices"]) is None:
        return None
    log = f"Match Log: {reply}. "  # its code looks in this line, not in the reply
    if "[" in log and "]" in log:
        name = log[log.index("[") + 1 : log.index("]")]
    else:
        name = log.rstrip(". ").split()[-1]
    return name if name in item.more["choices"] else None


def score_partial(item: Item, said: str | None) -> float:
    """The share of words that the named option and the right one have in common."""
    if said is None:
        return 0.0
    options = [set(item.more["choices"][name].lower().split()) for name in (said, item.answer)]
    return len(options[0] & options[1]) / max(map(len, options))


VLMEVALKIT = Scorer(
    prompt=vlmevalkit.prompt,
    read=vlmevalkit.read,
    score=right_letter,
    aggregate=micro(),
)
TOPVIEWRS = Benchmark(
    title="TopViewRS",
    load=load,
    scorers={
        "vlmevalkit": VLMEVALKIT,
        "vlmevalkit_partial": replace(VLMEVALKIT, read=read_partial, score=score_partial),
    },
    counts={},
)
