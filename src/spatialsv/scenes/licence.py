"""Check whether a licence allows commercial use of labels, and of models trained on them."""

from __future__ import annotations

import warnings

# All other licences are treated as non-commercial: users must read their terms.
COMMERCIAL = frozenset(
    {"Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT", "VGGT-1B-Commercial"}
)


def check_licence(licence: str, subject: str, commercial: bool = False) -> None:
    """Warn about a licence that is not known to allow commercial use.

    Args:
        licence: SPDX identifier, or the name of the terms.
        subject: the labels or their maker, as the start of the message.
        commercial: raise an error instead of a warning.

    Raises:
        ValueError: `commercial` is set, and the licence is not known to allow commercial use.
    """
    if licence in COMMERCIAL:
        return
    message = f"{subject}: licence {licence} is not known to allow commercial use."
    if commercial:
        raise ValueError(f"{message} Choose another teacher, such as DA3-BASE (Apache-2.0).")
    warnings.warn(f"{message} The same holds for models trained on these labels.", stacklevel=2)
