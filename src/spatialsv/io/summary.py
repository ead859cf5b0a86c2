"""One line about a manifest: what was made of what, what was skipped and why, and where it is."""

from __future__ import annotations

from spatialsv.io.manifest import Manifest

NOUNS = ("manifests", "scenes", "views", "questions")
DETAILED = ("scenes", "labels", "pseudo")  # stages with many counts; of others, all are given
MAX_FILES = 4


def summarise(manifest: Manifest) -> str:
    """Return what a command read, skipped and wrote, in one line for after the command's name."""
    counts, about = manifest.counts, manifest.about
    details = [str(about[name]) for name in ("source", "geometry", "teacher") if about.get(name)]
    is_detailed = manifest.stage in DETAILED or "manifests" in counts
    nouns = [name for name in (NOUNS if is_detailed else counts) if name in counts]
    made = ", ".join(_number(counts[noun], noun) for noun in nouns)
    sentences = [f"{made} ({', '.join(details)})" if details else made]
    if counts.get("skipped"):
        unit = "records" if "records" in counts else "frames"
        prefix = "skipped: "
        reasons = [f"{n} {r.removeprefix(prefix)}" for r, n in counts.items() if prefix in r]
        of = f" of {counts[unit]}" if unit in counts else ""
        sentences.append(f"skipped {counts['skipped']}{of} {unit} ({', '.join(sorted(reasons))})")
    if counts.get("refused"):
        sentences.append(
            f"refused {counts['refused']} of {_number(counts['captures'], 'captures')}"
        )
    if counts.get("scenes_excluded"):
        sentences.append(f"excluded {_number(counts['scenes_excluded'], 'scenes')}")
    sentences += _valid_pixels(counts)
    return f"{'; '.join(sentences)}; {_place(manifest)}"


def _valid_pixels(counts: dict[str, int]) -> list[str]:
    """Describe the share of valid pixels, or the scenes without any."""
    kept, pixels = counts.get("valid", counts.get("pixels_kept")), counts.get("pixels")
    pixels = pixels or sum(n for name, n in counts.items() if name.startswith("pixels_"))
    found = [f"{kept / pixels:.1%} of pixels valid"] if kept is not None and pixels else []
    if empty := counts.get("scenes_without_valid_depth"):
        found.append(f"no valid depth in {_number(empty, 'scenes')}")
    return found


def _place(manifest: Manifest) -> str:
    if manifest.path is None:
        return "not written"
    files = list(manifest.payload)
    files = files if len(files) <= MAX_FILES else [f"{len(files)} files"]
    return f"{', '.join([*files, manifest.path.name])} in {manifest.path.parent}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {(noun.removesuffix('s') if count == 1 else noun).replace('_', ' ')}"
