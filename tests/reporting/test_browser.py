"""The page in a real browser, at the widths of a telephone, a desk and a sheet of paper."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from tests.reporting.example import THIRTEEN, example

from leukoscope.reporting.study_page import StudyPage, study_page

PAGES: dict[str, StudyPage] = {
    "six categories": example(n_replicates=5),
    "thirteen categories": example(categories=THIRTEEN, n_replicates=2, unit="family"),
    "long words": example(
        arms={"none": "x" * 300, "w" * 90: "y " * 300},
        categories=["v" * 60, "band"],
        n_replicates=1,
    ),
}
PAPER_PX = 673
"""The width of A4 less margins of 16 mm, at 96 px to the inch."""


@pytest.fixture(scope="session", params=PAGES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write one of the pages and give its address."""
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(study_page(PAGES[request.param]), encoding="utf-8")
    return path.as_uri()


def look(browser: Chrome, address: str, width_px: int, media: str, scheme: str) -> None:
    """Open a page at a width, on a screen or on paper, in light or in dark."""
    browser.get_log("browser")
    size = {"width": width_px, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wish = {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    browser.get(address)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280])
def test_the_page_fits_the_screen(
    browser: Chrome, address: str, width_px: int, scheme: str
) -> None:
    """The page is never wider than the window; wide tables scroll in their own box."""
    look(browser, address, width_px, "screen", scheme)
    assert browser.execute_script("return window.innerWidth") == width_px
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width_px
    boxes = (
        "return [...document.querySelectorAll('.scroll')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(browser.execute_script(boxes)) <= width_px
    assert browser.get_log("browser") == []


def test_the_page_fits_the_paper(browser: Chrome, tmp_path: Path) -> None:
    """On paper nothing can be scrolled, so nothing is wider than the sheet."""
    path = tmp_path / "report.html"
    path.write_text(study_page(PAGES["thirteen categories"]), encoding="utf-8")
    look(browser, path.as_uri(), PAPER_PX, "print", "dark")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PAPER_PX
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"


def test_a_wide_matrix_scrolls_in_its_box(browser: Chrome, tmp_path: Path) -> None:
    """Thirteen categories are reached at 360 px by scrolling the box, with the keyboard too."""
    path = tmp_path / "report.html"
    path.write_text(study_page(PAGES["thirteen categories"]), encoding="utf-8")
    look(browser, path.as_uri(), 360, "screen", "light")
    script = (
        "const box = document.querySelector('[aria-labelledby=matrix-1]'); box.scrollLeft = 1e6;"
        "const head = box.querySelector('tbody th').getBoundingClientRect();"
        "return [box.scrollWidth > box.clientWidth, box.scrollLeft > 0, box.tabIndex, head.left];"
    )
    wide, scrolled, reachable, left_px = browser.execute_script(script)
    assert wide
    assert scrolled
    assert reachable == 0
    assert left_px >= 0
