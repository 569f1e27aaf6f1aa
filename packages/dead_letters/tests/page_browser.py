"""A real browser before a running page, for tests: headless Chromium, driven by its own driver."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import uvicorn
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from kite_dead_letters.page.guard import Guard
from kite_dead_letters.page.server import listen

WAIT_S: Final = 20.0
WIDTH: Final = 1360
HEIGHT: Final = 900


def programs() -> tuple[str, str]:
    """Chromium and its driver. Ends the test where they are missing: in CI that is a failure."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if found[0] and found[1]:
        return found[0], found[1]
    sentence = "no Chromium here: install the Debian packages chromium and chromium-driver"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextlib.contextmanager
def open_chromium(folder: Path, *, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a profile of its own in ``folder``; it asks the network nothing."""
    chromium, driver = programs()
    options = Options()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--user-data-dir={folder}",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options, Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


@contextlib.contextmanager
def running(app: Guard) -> Iterator[str]:
    """The page on a free port of this machine; its address."""
    with listen("127.0.0.1", 0) as opened:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([opened],), name="page", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT_S)


class Person:
    """Somebody who reads and types."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        self.address = address

    def go(self, path: str) -> None:
        """Open a page."""
        self.browser.get(self.address + path)

    def press(self, *keys: str) -> None:
        """Type to whatever has the focus."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def until_text(self, text: str) -> None:
        """Wait until the page says so."""
        self._until(lambda: text in self.text())

    def until_path(self, start: str) -> None:
        """Wait until the address begins so."""
        self._until(lambda: self.path().startswith(start))

    def text(self) -> str:
        """What can be read."""
        return str(self.browser.find_element(By.TAG_NAME, "body").text)

    def path(self) -> str:
        """The address without the machine."""
        return str(self.browser.current_url).removeprefix(self.address)

    def focused(self) -> WebElement:
        """What has the focus."""
        return self.browser.switch_to.active_element

    def one(self, selector: str) -> WebElement:
        """The element of this CSS selector."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def complaints(self) -> list[str]:
        """What the browser's console says of the page: blocked assets, errors of scripts."""
        found = self.browser.execute("getLog", {"type": "browser"})["value"]
        return [str(each["message"]) for each in found]

    def picture(self, path: Path) -> None:
        """A picture of what is seen."""
        assert self.browser.save_screenshot(str(path))

    def _until(self, condition: Callable[[], bool]) -> None:
        # A page that is being left has elements that are gone.
        wait = WebDriverWait(self.browser, WAIT_S, ignored_exceptions=[WebDriverException])
        try:
            wait.until(lambda _browser: condition())
        except TimeoutException:
            pytest.fail(f"{self.path()} shows {self.text()!r}")
