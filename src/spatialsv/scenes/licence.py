"""Whether a licence lets labels, and what learns from them, be used commercially."""

from __future__ import annotations

import warnings

# All others are taken not to: their terms are for the user to read.
COMMERCIAL = frozenset(
    {"Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT", "VGGT-1B-Commercial"}
)


def check_licence(licence: str, what: str, commercial: bool = False) -> None:
    """Warn of `what` under a licence that is not known to allow commercial use.

    Args:
        what: the labels, or what makes them, as a message starts.
        commercial: refuse instead.

    Raises:
        ValueError: it is not known to, and `commercial` is asked for.
    """
    if licence in COMMERCIAL:
        return
    told = f"{what}: licence {licence}, which is not known to allow commercial use"
    if commercial:
        raise ValueError(f"{told}; choose another teacher, such as DA3-BASE (Apache-2.0)")
    warnings.warn(f"{told}; so neither may what learns from these labels", stacklevel=2)
