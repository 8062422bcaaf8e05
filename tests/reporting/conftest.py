"""A real browser, for the pages that are to be looked at."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def found(*names: str) -> str | None:
    """Find the first of these programs that is installed."""
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium with a fresh profile, or skip where there is none."""
    program, driver = found(*CHROMIUM), found("chromedriver")
    if program is None or driver is None:
        pytest.skip(
            "No Chromium with chromedriver was found on the PATH; the page was not opened. "
            "On Debian they are the packages chromium and chromium-driver."
        )
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile: Path = tmp_path_factory.mktemp("profile")
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--no-first-run"),
        *("--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={profile}"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    session = webdriver.Chrome(options=options, service=service)
    yield session
    session.quit()
