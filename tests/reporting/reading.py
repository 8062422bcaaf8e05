"""Reads a page back with the standard library's parser, as a stranger to its template would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr"}


@dataclass
class Element:
    """Hold a tag, its attributes, its children and the text directly in it."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def text(self) -> str:
        """Join the text in the element, parts set apart by one space."""
        parts = [part if isinstance(part, str) else part.text() for part in self.children]
        return " ".join(" ".join(parts).split(" ")).strip()

    def words(self) -> str:
        """Join the text with every run of white space made one space."""
        return " ".join(self.text().split())

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """List the elements of a tag below this one that have these attributes."""
        found = []
        for part in self.children:
            if isinstance(part, Element):
                same = all(part.attributes.get(key) == value for key, value in attributes.items())
                found += [part] if part.tag == tag and same else []
                found += part.all(tag, **attributes)
        return found

    def everything(self) -> list["Element"]:
        """List all elements below this one."""
        below = [part for part in self.children if isinstance(part, Element)]
        return [each for part in below for each in (part, *part.everything())]


class Reader(HTMLParser):
    """Build a tree of elements, and fail where a tag is not closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{tag} closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(html: str) -> Element:
    """Read a page into its tree."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def table(page: Element, caption_id: str) -> Element:
    """Find the table with this caption."""
    return next(each for each in page.all("table") if each.all("caption", id=caption_id))


def rows(body: Element) -> list[list[str]]:
    """List the words of each cell of each row."""
    return [
        [cell.words() for cell in row.everything() if cell.tag in {"th", "td"}]
        for row in body.all("tr")
    ]
