"""Images inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def jpeg_uri(image: UInt8[np.ndarray, "H W 3"], side: int, quality: int) -> str:
    """Encode an image as a JPEG data URI of at most `side` pixels in height and width."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
