"""A headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import io
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

_LIMIT_S = 120  # for a page to come to show something


class Page:
    """A tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._calls:
                assert "result" in answer, answer
                return answer["result"]

    async def until(self, script: str, **where: Any) -> Any:
        """The value of a JavaScript expression, once it is true."""
        deadline = time.monotonic() + _LIMIT_S
        while True:
            answer = await self.call(
                "Runtime.evaluate", expression=script, returnByValue=True, **where
            )
            if value := answer["result"].get("value"):
                return value
            if time.monotonic() > deadline:
                shown = await self.call("Runtime.evaluate", expression="document.body.innerText")
                raise AssertionError(f"not so: {script}\n{shown['result'].get('value')}")
            await asyncio.sleep(0.2)

    async def screenshot(self) -> Image.Image:
        png = (await self.call("Page.captureScreenshot"))["data"]
        return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


@contextlib.asynccontextmanager
async def browser(profile: Path, width: int, height: int) -> AsyncIterator[Page]:
    """A browser with one empty tab."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", f"--window-size={width},{height}"]
    # In one process with its page, or the frame of a report could not be looked into.
    command += ["--disable-features=IsolateSandboxedIframes", "--remote-debugging-port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            ports = (re.search(r"ws://127\.0\.0\.1:(\d+)/", line) for line in process.stderr)
            port = next(filter(None, ports))[1]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    [tab] = [tab for tab in await answer.json() if tab["type"] == "page"]
                address = tab["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.kill()
