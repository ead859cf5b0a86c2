"""Pages that need no network: files of this package, scripts inside the page, and their policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)
from markupsafe import Markup

SHARED = "page.js"  # first of a page's scripts
VIEWER = ("three/three.min.js", "cloud.js", "viewer.js")  # of the 3D view, after the others


def asset(name: str) -> str:
    """Return the text of a file of this package."""
    return files("spatialsv.viewer").joinpath(name).read_text()


def environment(*loaders: BaseLoader) -> Environment:
    """Return an environment for templates: HTML is escaped, and JSON cannot end a script element.

    Args:
        loaders: of further templates, besides those of this package.

    Returns:
        The environment.
    """
    made = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("spatialsv.viewer", "")]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return made


def page_frame(scripts: Sequence[str]) -> dict[str, Any]:
    """Return what the template of a page needs besides its content.

    Args:
        scripts: texts of the scripts, in their order.

    Returns:
        The page's `policy`, `style` and `scripts`.
    """
    # Exactly as they are between the tags: their digests are in the page's policy.
    texts = [f"\n{script}\n" for script in scripts]
    return {
        "policy": Markup(_policy(texts)),
        "style": Markup(asset("style.css")),
        "scripts": list(map(Markup, texts)),
    }


@cache
def _environment() -> Environment:
    return environment()


def render_scene(
    title: str, lead: Sequence[str], images: Sequence[str], clouds: Mapping[str, Any]
) -> str:
    """Render a page with the 3D view of one scene.

    Args:
        title: of the page, and the scene's name in `clouds`.
        lead: sentences above the view.
        images: a data URI for each view.
        clouds: the data of the viewer, as `clouds.viewer_data` makes it.

    Returns:
        The page as HTML.
    """
    return (
        _environment()
        .get_template("scene.html")
        .render(
            title=title,
            lead=lead,
            clouds=clouds,
            data={"scenes": {title: {"images": images}}},
            **page_frame([asset(name) for name in (SHARED, *VIEWER)]),
        )
    )


def _policy(scripts: Sequence[str]) -> str:
    """Load nothing from anywhere, and run no script but these, whatever the data may hold."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts)
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
