"""A headless Chromium over its debugging pipe: what a person does with a page, and what it says."""

from __future__ import annotations

import base64
import fcntl
import io
import itertools
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--disable-dev-shm-usage", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),  # WebGL without a GPU
)
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "+": 187}


class Chrome:
    """One tab. `console` has what pages said and what failed, `requests` what they asked for."""

    def __init__(self, profile: Path, *options: str) -> None:
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        # The browser reads from its file 3 and writes to its file 4; ours stay clear of these.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read_there, write_there)]
        files = [(os.POSIX_SPAWN_DUP2, end, place) for end, place in zip(ends, (3, 4), strict=True)]
        files.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
        command = [CHROMIUM, *OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"]
        self.process = os.posix_spawn(CHROMIUM, command, os.environ, file_actions=files)
        for end in (read_there, write_there, *ends):
            os.close(end)
        self.answers, self.orders = os.fdopen(read_here, "rb"), os.fdopen(write_here, "wb")
        self.numbers, self.events, self.buffer = itertools.count(1), [], b""
        self.session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.session = None
        self.call("Browser.close")
        os.waitpid(self.process, 0)
        self.answers.close()
        self.orders.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol. Events that come meanwhile are kept."""
        number = next(self.numbers)
        order = {"id": number, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        self.orders.write(json.dumps(order).encode() + b"\0")
        self.orders.flush()
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            read = self.answers.read1(1 << 20)
            assert read, "Chromium went away"
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, page: Path, fragment: str = "", size=(1280, 900), dark: bool = False) -> None:
        """A fresh page; events of earlier ones are forgotten."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=width < 600)
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank' && document.readyState === 'complete'")
        self.events.clear()
        self.call("Page.navigate", url=f"{page.as_uri()}#{fragment}")
        self.wait("location.protocol === 'file:' && document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of JavaScript, awaited."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until JavaScript's `condition` holds, or half a minute is over."""
        held = self.js(
            "(async () => { const end = Date.now() + 30000; while (Date.now() < end) {"
            f" if ({condition}) return true; await new Promise((go) => setTimeout(go, 30)); }}"
            " return false; })()"
        )
        assert held, f"never: {condition}"

    @property
    def address(self) -> dict[str, str]:
        """What the page wrote behind the # of its address."""
        return self.js("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")

    def choose(self, form: str, name: str, value: str) -> None:
        """A control of a form, as if a person had set it."""
        self.js(
            f"document.getElementById('{form}').elements['{name}'].value = '{value}';"
            f"document.getElementById('{form}').dispatchEvent(new Event('input'))"
        )

    def press(self, key: str, shift: bool = False) -> None:
        told = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        told |= {"modifiers": 8 if shift else 0}
        if len(key) == 1:
            told["text"] = key
        self.call("Input.dispatchKeyEvent", type="keyDown", **told)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        told: Mapping[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1}
        for kind, (x, y) in (("Pressed", start), ("Moved", end), ("Released", end)):
            self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **told)

    def swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """One finger's way, in steps."""
        at = [
            tuple(a + (b - a) * step / 4 for a, b in zip(start, end, strict=True))
            for step in range(5)
        ]
        for kind, (x, y) in zip(("Start", "Move", "Move", "Move", "Move"), at, strict=True):
            self.call(
                "Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=[{"x": x, "y": y}]
            )
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def corner(self, element: str) -> tuple[float, float]:
        """Where an element's upper left corner is on the screen."""
        box = f"document.querySelector({element!r}).getBoundingClientRect()"
        return tuple(self.js(f"(({{x, y}}) => [x, y])({box})"))

    def screenshot(self, element: str | None = None) -> np.ndarray:
        """Pixels of what is seen, or of one element of it."""
        clip = {}
        if element:
            box = self.js(
                "(({x, y, width, height}) => ({x: x + scrollX, y: y + scrollY, width, height}))"
                f"(document.querySelector({element!r}).getBoundingClientRect())"
            )
            clip = {"clip": box | {"scale": 1}}
        taken = self.call("Page.captureScreenshot", **clip)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB"))

    @property
    def console(self) -> list[str]:
        """What the page wrote to the console, and its errors."""
        self.js("0")  # what was under way has come
        said = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in said]

    @property
    def requests(self) -> list[str]:
        """What was asked for, but for the page itself and what it holds."""
        self.js("0")
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        urls = [told["request"]["url"] for told in sent if told["type"] != "Document"]
        return [url for url in urls if not url.startswith("data:")]
