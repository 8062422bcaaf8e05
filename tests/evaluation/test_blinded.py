"""Answers to a blinded sheet: scored by laws, and what cannot be scored is refused."""

import polars as pl
import pytest

from leukoscope.evaluation.blinded import ALL_READERS, blind_scores, letters_of, read_answers
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream

CATEGORIES = ("segmented", "band", "lymphocyte")


def key(n: int = 60) -> pl.DataFrame:
    """Write a sheet's key: real and drawn by turns."""
    return pl.DataFrame(
        {
            "number": range(1, n + 1),
            "made": ["real", "drawn"] * (n // 2),
            "category": [CATEGORIES[place // 2 % 3] for place in range(n)],
            "cell_id": [f"cell-{place}" for place in range(n)],
            "content": [f"{place:032x}" for place in range(n)],
            "seed": ["0"] * n,
        },
        schema_overrides={"number": pl.Int32},
    )


def answers(reader: str | None = "AB", said: list[str | None] | None = None) -> pl.DataFrame:
    """Answer every picture: rightly, unless told otherwise."""
    of = key()
    return of.select(
        "number",
        reader=pl.lit(reader, pl.String),
        real_or_drawn=pl.Series(said) if said is not None else pl.col("made"),
        category="category",
    )


def scores(table: pl.DataFrame) -> pl.DataFrame:
    """Read and score."""
    return blind_scores(read_answers(table, key(), CATEGORIES))


def row(found: pl.DataFrame, metric: str, reader: str = "AB", category: str | None = None) -> dict:
    """Find the one row of a number."""
    (one,) = found.filter(
        (pl.col("arm") == reader)
        & (pl.col("metric") == metric)
        & pl.col("category").eq_missing(category)
    ).to_dicts()
    return one


def test_a_perfect_reader_is_right_in_all() -> None:
    """Every share is 1, found beyond guessing, nothing left blank."""
    found = scores(answers())
    for metric in ("told_right", "drawn_found", "real_found", "named_right"):
        assert row(found, metric)["value"] == row(found, metric)["high"] == 1
    assert row(found, "told_right")["p_value"] < 1e-15
    assert row(found, "blank")["value"] == row(found, "unnamed")["value"] == 0


def test_a_reader_who_flips_a_coin_is_covered() -> None:
    """The interval of 95 % covers 1/2 for at least 93 of 100 who guess; few are found to see."""
    covered = seen = 0
    for reader in range(100):
        drawn = stream(reader, "coin").random(60) < 0.5
        one = row(
            scores(answers(said=["drawn" if each else "real" for each in drawn])), "told_right"
        )
        covered += one["low"] <= 0.5 <= one["high"]
        seen += one["p_value"] < 0.05
    assert covered >= 93
    assert seen <= 7


def test_who_calls_all_real_finds_no_drawn_one() -> None:
    """One word for all is half right, and says nothing."""
    found = scores(answers(said=["real"] * 60))
    assert row(found, "told_right")["value"] == 0.5
    assert row(found, "told_right")["p_value"] == 1
    assert row(found, "drawn_found")["value"] == 0
    assert row(found, "real_found")["value"] == 1


def test_categories_add_up() -> None:
    """Right and answered of the categories are those of all."""
    drawn = stream(1, "coin").random(60) < 0.4
    found = scores(answers(said=["drawn" if each else "real" for each in drawn]))
    parts = [row(found, "told_right", category=name) for name in CATEGORIES]
    whole = row(found, "told_right")
    assert sum(part["n_cells"] for part in parts) == whole["n_cells"] == 60
    right = sum(part["n_cells"] * part["value"] for part in parts)
    assert right == pytest.approx(60 * whole["value"])


def test_order_says_nothing() -> None:
    """The same answers in another order give the same table."""
    drawn = stream(2, "coin").random(60) < 0.5
    given = answers(said=["drawn" if each else "real" for each in drawn])
    mixed = given[stream(2, "order").permutation(60)]
    assert scores(mixed).equals(scores(given))


def test_blanks_are_counted_and_not_scored() -> None:
    """What is blank, or missing from the table, counts as blank and in no share."""
    given = answers(said=["real", None, None, *["drawn"] * 57]).head(50)
    given = given.with_columns(
        category=pl.when(pl.col("number") > 40).then(None).otherwise(pl.col("category"))
    )
    found = scores(given)
    assert row(found, "blank")["value"] == 2 + 10
    assert row(found, "unnamed")["value"] == 20
    assert row(found, "told_right")["n_cells"] == 48
    assert row(found, "named_right")["n_cells"] == 40


def test_a_blank_sheet_is_undefined() -> None:
    """Who answers nothing has no share, and no 0."""
    given = answers().with_columns(real_or_drawn=pl.lit(None, pl.String), category=pl.lit(None))
    found = row(scores(given), "told_right")
    assert found["value"] is None
    assert "nothing was answered" in found["method"]


def test_spelling_is_forgiven() -> None:
    """Capitals, spaces, points in initials and letters for categories change nothing."""
    letter = {name: sign for sign, name in letters_of(CATEGORIES).items()}
    odd = answers(" a.b. ").with_columns(
        real_or_drawn=" " + pl.col("real_or_drawn").str.to_titlecase(),
        category=pl.col("category").replace_strict(letter).str.to_lowercase(),
    )
    assert scores(odd).equals(scores(answers()))


def test_one_reader_need_not_sign_each_row() -> None:
    """Initials once are enough where one reader alone answered."""
    given = answers().with_columns(
        reader=pl.when(pl.col("number") == 7).then(pl.lit("AB")).otherwise(None)
    )
    assert scores(given).equals(scores(answers()))


def test_readers_are_told_apart_and_pooled_without_an_interval() -> None:
    """Each has rows of their own; together they have a mean and no interval."""
    found = scores(pl.concat([answers(), answers("CD", ["real"] * 60)]))
    assert row(found, "told_right")["value"] == 1
    assert row(found, "told_right", "CD")["value"] == 0.5
    together = row(found, "told_right", ALL_READERS)
    assert (together["value"], together["low"]) == (0.75, None)


def planted(at: int, **changes: object) -> pl.DataFrame:
    """Change one answer."""
    return answers().with_columns(
        pl.when(pl.col("number") == at).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in changes.items()
    )


FAULTS = {
    "picture 61; the sheet has 1 to 60": lambda: planted(9, number=61),
    "more than once, for example AB 12": lambda: planted(11, number=12),
    "answers picture 12 twice": lambda: planted(11, number=12, reader="a.b."),
    "Picture 5 is called 'fake'": lambda: planted(5, real_or_drawn="fake"),
    "Picture 6 is named 'blast'": lambda: planted(6, category="blast"),
    "goes by 'Anna Bell'": lambda: planted(4, reader="Anna Bell"),
    "goes by '42'": lambda: planted(4, reader="42"),
    "name no reader": lambda: answers(None),
    "picture 3 names no reader": lambda: pl.concat([planted(3, reader=None), answers("CD")]),
}


@pytest.mark.parametrize("said", FAULTS)
def test_planted_faults_are_found(said: str) -> None:
    """Each fault is refused by its picture."""
    with pytest.raises(DataError) as caught:
        scores(FAULTS[said]())
    assert said in str(caught.value)
