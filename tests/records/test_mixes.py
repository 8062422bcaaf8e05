import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError, LeukoscopeError, RecipeError, UsageError
from leukoscope.records.categories import NOZAKA6
from leukoscope.records.mixes import MIXES, read_counts

PRINTED = {
    "baso": "basophil",
    "eosino": "eosinophil",
    "lymph": "lymphocyte",
    "mono": "monocyte",
    "band": "band",
    "segment": "segmented",
}


def test_the_mix_of_nozaka_is_the_one_that_was_counted():
    """9,796 cells of six categories, in the house's order."""
    mix = read_counts("nozaka-2022")
    assert tuple(mix) == NOZAKA6
    assert sum(mix.values()) == 9796
    assert mix == MIXES["nozaka-2022"]


def test_the_mix_of_nozaka_is_the_row_sums_of_every_printed_matrix(shared):
    """Each panel of Tables 2 and 3 has these row sums."""
    path = shared / "papers" / "confusion.csv"
    if not path.is_file():
        pytest.skip("The shared folder holds no printed matrices.")
    sums = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            six = row["paper"] == "nozaka-2022" and row["quantity"] == "count"
            if six and {row["class"], row["predicted"]} <= set(PRINTED):
                panel = sums.setdefault(row["arm"], dict.fromkeys(NOZAKA6, 0))
                panel[PRINTED[row["class"]]] += int(row["value"])
    assert len(sums) == 12
    assert all(panel == MIXES["nozaka-2022"] for panel in sums.values())


NAMES = st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1).map(str.strip).filter(bool)
NUMBERS = st.integers(0, 10**6) | st.floats(0.001, 1e6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mixes")


@settings(max_examples=50)
@given(counts=st.dictionaries(NAMES, NUMBERS, min_size=1).filter(lambda c: sum(c.values()) > 0))
def test_yaml_and_csv_say_the_same(folder, counts):
    """Counts or shares come back as they were written, in their order."""
    lines = [f"'{name}': {number!r}\n" for name, number in counts.items()]
    (folder / "m.yaml").write_text("".join(lines))
    rows = [f'"{name}",{number!r}\n' for name, number in counts.items()]
    (folder / "m.csv").write_text("category,n_cells\n" + "".join(rows))
    for name in ("m.yaml", "m.csv"):
        for source in (folder / name, str(folder / name)):
            seen = read_counts(source)
            assert list(seen.items()) == [(one, float(n)) for one, n in counts.items()]


def test_an_unknown_mix_is_told_with_those_that_are_near(folder):
    """Neither a name nor a file; a path is never taken for a name."""
    with pytest.raises(UsageError, match=r"nozaka-2022\? Nor is there a file of that name"):
        read_counts("nozaka-2020")
    with pytest.raises(UsageError, match="Nor is there a file"):
        read_counts(folder / "nowhere.yaml")


FAULTS = {
    "negative.yaml": ("band: -1\nmonocyte: 2\n", "-1 of band"),
    "nothing.yaml": ("band: 0\nmonocyte: 0\n", "counts no cell"),
    "empty.yaml": ("", "should hold lines"),
    "none.yaml": ("{}\n", "counts no cell"),
    "list.yaml": ("- band\n", "not list"),
    "word.yaml": ("band: many\n", "'many' of band"),
    "truth.yaml": ("band: true\n", "True of band"),
    "nan.yaml": ("band: .nan\n", "nan of band"),
    "endless.yaml": ("band: .inf\n", "inf of band"),
    "number.yaml": ("0: 5\n", "category 0, which is no word"),
    "norway.yaml": ("no: 5\n", "category False, which is no word"),
    "negative.csv": ("category,n_cells\nband,-1\n", "-1.0 of band"),
    "nothing.csv": ("category,n_cells\nband,0\n", "counts no cell"),
    "twice.csv": ("category,n_cells\nband,1\nband,2\n", "more than once"),
    "word.csv": ("category,n_cells\nband,many\n", "wrong type"),
    "nan.csv": ("category,n_cells\nband,NaN\n", "nan of band"),
    "columns.csv": ("class,count\nband,3\n", "rename class to category; count to n_cells"),
    "counts.txt": ("band: 1\n", "should end in"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_counts_are_refused_with_their_file(tmp_path, name):
    """What is wrong is said of the file, and nothing is read in part."""
    text, said = FAULTS[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as seen:
        read_counts(tmp_path / name)
    assert said in str(seen.value)
    assert name in str(seen.value)


def test_what_is_no_yaml_is_told(tmp_path):
    """By file and line."""
    (tmp_path / "m.yaml").write_text("band: [1\n")
    with pytest.raises(RecipeError, match=r"m\.yaml is not YAML"):
        read_counts(tmp_path / "m.yaml")
    (tmp_path / "m.yaml").write_text("band: 1\nmonocyte: 2\nband: 3\n")
    with pytest.raises(RecipeError, match=r"m\.yaml: The key band stands twice.* line 3"):
        read_counts(tmp_path / "m.yaml")


def outcome(path):
    """Read counts, or give the sentence that refuses them."""
    try:
        return read_counts(path)
    except LeukoscopeError as error:
        return str(error)


@given(text=st.text(max_size=40))
def test_any_text_is_read_or_refused(folder, text):
    """Nothing but the house's own errors comes out, and what is read is a mix."""
    path = folder / "any.yaml"
    path.write_text(text, encoding="utf-8")
    seen = outcome(path)
    assert "any.yaml" in seen if isinstance(seen, str) else sum(seen.values()) > 0
