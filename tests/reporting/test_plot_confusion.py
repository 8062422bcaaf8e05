"""The confusion matrix shows each count and share in its field, deeper with the share."""

import math

import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tests.reporting import plot_examples as ex

from leukoscope.reporting import plotting, wording
from leukoscope.reporting.contents import in_order
from leukoscope.reporting.plot_confusion import confusion_figure, drawn_confusion


def fields(figure: Figure) -> dict[tuple[int, int], list[str]]:
    """List what stands in each field, by row and column, from above."""
    found: dict[tuple[int, int], list[tuple[float, str]]] = {}
    for text in figure.axes[0].texts:
        x, y = text.get_position()
        if y > 0:
            found.setdefault((int(y), int(x)), []).append((y, text.get_text()))
    return {place: [word for _, word in sorted(lines)] for place, lines in found.items()}


def shades(figure: Figure) -> dict[tuple[int, int], tuple[str, float]]:
    """List the colour and depth of each shaded field."""
    return {
        (int(each.get_y()), int(each.get_x())): (_hex(each.get_facecolor()), each.get_alpha())
        for each in figure.axes[0].patches
        if isinstance(each, Rectangle)
        and _hex(each.get_facecolor()) in {plotting.RIGHT, plotting.WRONG}
        and each.get_alpha()
    }


def _hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


@pytest.mark.parametrize("k", [2, 6, 13])
def test_every_field_is_its_row_of_the_table(k: int) -> None:
    """Counts and shares stand where their category and call meet; 0 stands alone."""
    table = ex.confusion(ex.CATEGORIES[k])
    names = in_order(ex.CATEGORIES[k])
    shown = fields(confusion_figure(table, "strict"))
    assert len(shown) == k * k
    for row in table.to_dicts():
        place = names.index(row["category"]), names.index(row["predicted"])
        count = wording.count(row["n_cells"])
        assert shown[place] == ([count, wording.percent(row["share"])] if count != "0" else ["0"])


def test_shades_deepen_with_the_square_root_of_the_share() -> None:
    """Right calls in one colour and wrong ones in the other, none where no cell is."""
    table = ex.confusion(ex.NOZAKA6)
    found = shades(confusion_figure(table, "strict"))
    deepest = {True: found[0, 0][1] / math.sqrt(_share(table, 0, 0)), False: None}
    wrong = next(place for place in found if place[0] != place[1])
    deepest[False] = found[wrong][1] / math.sqrt(_share(table, *wrong))
    for row, column in ((r, c) for r in range(6) for c in range(6)):
        share = _share(table, row, column)
        if not share:
            assert (row, column) not in found
            continue
        colour, depth = found[row, column]
        assert colour == (plotting.RIGHT if row == column else plotting.WRONG)
        assert depth == pytest.approx(deepest[row == column] * math.sqrt(share))


def _share(table: pl.DataFrame, row: int, column: int) -> float:
    truth, call = ex.NOZAKA6[row], ex.NOZAKA6[column]
    return table.filter(category=truth, predicted=call)["share"][0]


def test_a_category_without_cells_has_no_share() -> None:
    """Its row says 0 cells and nothing in it is shaded or divided."""
    table = ex.confusion(ex.CATEGORIES[2]).with_columns(
        n_cells=pl.when(pl.col("category") == "leukemic").then(0.0).otherwise(pl.col("n_cells")),
        share=pl.when(pl.col("category") == "leukemic").then(None).otherwise(pl.col("share")),
    )
    figure = confusion_figure(table, "strict")
    assert fields(figure)[1, 0] == fields(figure)[1, 1] == ["0"]
    assert {row for row, _ in shades(figure)} == {0}
    assert "0 cells" in {text.get_text() for text, _ in ex.texts_of(figure)}


def test_means_over_replicates_have_a_decimal() -> None:
    """Where any count is not whole all have one decimal, as on the house's pages."""
    table = ex.confusion(ex.CATEGORIES[2]).with_columns(n_cells=pl.col("n_cells") + 0.25)
    assert fields(confusion_figure(table, "strict"))[0, 0][0] == "383.2"


def test_where_numbers_do_not_fit_the_figure_says_so() -> None:
    """First counts give way, then shares; the shades stay."""
    large = confusion_figure(ex.confusion(ex.CATEGORIES[13], 5_000_000), "strict")
    assert all(len(lines) <= 1 for lines in fields(large).values())
    assert "The counts stand in the table." in _words(large)
    many = confusion_figure(ex.confusion([f"kind {n}" for n in range(24)]), "strict")
    assert fields(many) == {}
    assert "no room for numbers" in _words(many)
    assert shades(many)


def _words(figure: Figure) -> str:
    return " ".join(text.get_text() for text, _ in ex.texts_of(figure))


def test_merged_is_said_and_neutrophils_stand_first() -> None:
    """The merged view has its own title, and its own rows alone."""
    names = ("lymphocyte", "neutrophil")
    table = pl.concat([ex.confusion(ex.NOZAKA6), ex.confusion(names, view="merged")])
    assert "neutrophils merged" in str(confusion_figure(table, "merged").get_label())
    drawn = drawn_confusion(table, "merged")
    assert drawn["category"].unique(maintain_order=True).to_list() == ["neutrophil", "lymphocyte"]
