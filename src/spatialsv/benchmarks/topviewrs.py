"""TopViewRS (arXiv 2406.02537): objects and places in maps, seen from above.

From VLMEvalKit's TopViewRS.tsv and by its rules only: the authors publish no code, and lmms-eval
lacks this benchmark. `vlmevalkit` counts exact matches. `vlmevalkit_partial` scores the words that
two options share, |both| / max(|one|, |other|), where a response names the option whose letter is
its last word: "A" and "I say A." name one, "A. left" does not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro, score_letter
from spatialsv.benchmarks.files import find_files
from spatialsv.benchmarks.images import read_tsv_rows
from spatialsv.benchmarks.vlmevalkit import match_option_or_refusal

FILE = "TopViewRS.tsv"


def load(data: Path) -> list[Item]:
    """Load the questions of TopViewRS.tsv."""
    path = find_files(data, FILE)[0]
    return [vlmevalkit.item_from_row(row) for row in read_tsv_rows(data, path)]


def parse_partial(item: Item, response: str) -> str | None:
    """Return the last word, or the text in brackets, if it is the letter of an option."""
    if match_option_or_refusal(response, item.more["choices"]) is None:
        return None
    log = f"Match Log: {response}. "  # VLMEvalKit parses this line, not the response
    if "[" in log and "]" in log:
        name = log[log.index("[") + 1 : log.index("]")]
    else:
        name = log.rstrip(". ").split()[-1]
    return name if name in item.more["choices"] else None


def score_partial(item: Item, prediction: str | None) -> float:
    """Return the share of words that the predicted and the correct option have in common."""
    if prediction is None:
        return 0.0
    options = [
        set(item.more["choices"][name].lower().split()) for name in (prediction, item.answer)
    ]
    return len(options[0] & options[1]) / max(map(len, options))


VLMEVALKIT = Protocol(
    prompt=vlmevalkit.prompt,
    parse_response=vlmevalkit.parse,
    score=score_letter,
    aggregate=micro(),
)
TOPVIEWRS = Benchmark(
    title="TopViewRS",
    load=load,
    protocols={
        "vlmevalkit": VLMEVALKIT,
        "vlmevalkit_partial": replace(
            VLMEVALKIT, parse_response=parse_partial, score=score_partial
        ),
    },
    counts={},
)
