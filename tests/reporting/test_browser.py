"""The page in a real browser, at the widths of a telephone, a desk and a sheet of paper."""

import base64
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from tests.reporting.example import THIRTEEN, example
from tests.reporting.rotation import ARMS, many, rotation

from leukoscope.reporting.study_page import StudyPage, study_page

PAGES: dict[str, StudyPage] = {
    "six categories": example(n_replicates=5),
    "thirteen categories": example(categories=THIRTEEN, n_replicates=2, unit="family"),
    "long words": example(
        arms={"none": "x" * 300, "w" * 90: "y " * 300},
        categories=["v" * 60, "band"],
        n_replicates=1,
    ),
    "full": rotation(unit="case"),
    "many": many(),
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


@pytest.mark.parametrize("name", ["thirteen categories", "full", "many"])
def test_the_page_fits_the_paper(browser: Chrome, tmp_path: Path, name: str) -> None:
    """On paper nothing can be scrolled, so nothing is wider than the sheet."""
    look(browser, written(tmp_path, study_page(PAGES[name])), PAPER_PX, "print", "dark")
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


def written(folder: Path, html: str) -> str:
    """Write a page and give its address."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


OVERLAPS = """
const overlaps = [];
for (const svg of document.querySelectorAll('svg[role=img]')) {
  const texts = [...svg.querySelectorAll('text')];
  const boxes = texts.map(e => [e.textContent, e.getBoundingClientRect()]);
  for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
    const [a, b] = [boxes[i][1], boxes[j][1]];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && tall > 3) overlaps.push(boxes[i][0] + ' | ' + boxes[j][0]);
  }
}
return overlaps;
"""
"""Find the labels of a figure that lie on each other."""

SMALLEST = """
return Math.min(...[...document.querySelectorAll('svg text')].map(e => {
  const scale = e.getScreenCTM() ? e.getScreenCTM().a : 1;
  return parseFloat(getComputedStyle(e).fontSize) * scale;
}));
"""
"""Find the smallest text of all figures, in pixels as drawn."""


@pytest.mark.parametrize("width_px", [360, 800, 1280])
def test_labels_can_be_read(browser: Chrome, address: str, width_px: int) -> None:
    """No label of a figure lies on another, none is tiny, none sticks out of the window."""
    look(browser, address, width_px, "screen", "light")
    assert browser.execute_script(OVERLAPS) == []
    assert browser.execute_script(SMALLEST) >= 9
    right = "return [...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect())"
    assert all(
        box["left"] >= -1 and box["right"] <= width_px for box in browser.execute_script(right)
    )


def test_every_picture_is_drawn(browser: Chrome, tmp_path: Path) -> None:
    """The browser can read each picture, and shows it no larger than twice its pixels."""
    look(browser, written(tmp_path, study_page(PAGES["full"])), 1280, "screen", "light")
    sizes = browser.execute_script(
        "return [...document.images].map(e => [e.naturalWidth, e.getBoundingClientRect().width])"
    )
    assert len(sizes) > 20
    assert all(pixels == 64 and 40 <= shown <= 128 for pixels, shown in sizes)


def test_all_folds_are_open_on_paper(browser: Chrome, tmp_path: Path) -> None:
    """What is folded up on a screen is printed, and takes the paper it would take unfolded."""
    html = study_page(PAGES["full"])
    address = written(tmp_path, html)
    seen = "return [...document.querySelectorAll('details table')].map(e => e.checkVisibility())"
    look(browser, address, 1280, "screen", "light")
    assert set(browser.execute_script(seen)) == {False}
    look(browser, address, PAPER_PX, "print", "light")
    assert set(browser.execute_script(seen)) == {True}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PAPER_PX
    sheets = printed(browser)
    browser.get(written(tmp_path, html.replace("<details>", "<details open>")))
    assert printed(browser) == sheets > 5


def printed(browser: Chrome) -> int:
    """Print the page that is open and count its sheets."""
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    data = base64.b64decode(pdf["data"])
    return data.count(b"/Type /Page") - data.count(b"/Type /Pages")


def test_links_lead_to_their_section(browser: Chrome, tmp_path: Path) -> None:
    """A link in the list of sections scrolls its heading to the top, without script."""
    look(browser, written(tmp_path, study_page(PAGES["full"])), 1280, "screen", "light")
    browser.find_element("css selector", "nav a[href='#errors']").click()
    top = "return document.getElementById('errors').getBoundingClientRect().top"
    assert -1 <= browser.execute_script(top) < 60
    assert len(browser.find_elements("css selector", "svg.curve")) == 2 * len(ARMS)
