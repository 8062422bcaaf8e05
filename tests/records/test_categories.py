import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import categories

KNOWN = sorted({*categories.PBC13.values(), *categories.PARENTS.values()})


def test_named_maps():
    """The maps cover what their names promise: 13 prefixes, 8 groups, 6 categories."""
    pbc13, pbc8, nozaka6 = (categories.category_map(name) for name in ("pbc13", "pbc8", "nozaka6"))
    assert len(pbc13) == len(set(pbc13.values())) == 13
    assert set(pbc8) == set(pbc13)
    assert set(pbc8.values()) == {
        *("neutrophil", "eosinophil", "basophil", "monocyte", "lymphocyte"),
        *("immature granulocyte", "erythroblast", "platelet"),
    }
    assert set(nozaka6.values()) == set(categories.NOZAKA6)
    assert nozaka6 == {p: name for p, name in pbc13.items() if p in nozaka6}
    assert {"NEUTROPHIL", "IG", "PLATELET"} & set(nozaka6) == set()


def test_an_unknown_map_names_the_near_one():
    """A misspelt map is answered with the maps that look like it."""
    with pytest.raises(UsageError, match=r"pbc8 or pbc13\?"):
        categories.category_map("pbc")


@given(st.permutations([*KNOWN, "zebra", "Aal"]))
def test_order_of_categories_is_the_house_order(names):
    """Whatever the order and repetition, the papers' six come first and strangers last by name."""
    seen = categories.ordered([*names, *names])
    assert sorted(seen) == sorted(names)
    assert seen[:6] == categories.NOZAKA6
    assert seen[-2:] == ("Aal", "zebra")


@given(st.lists(st.sampled_from([*KNOWN, "zebra"])))
def test_merging_joins_neutrophils_alone(names):
    """Bands and segmented cells become neutrophils; all else stays, cell by cell; twice is once."""
    once = categories.merged(names)
    neutrophils = {"band", "segmented", "neutrophil"}
    assert [new == "neutrophil" for new in once] == [old in neutrophils for old in names]
    assert all(new == old for new, old in zip(once, names, strict=True) if old not in neutrophils)
    assert categories.merged(once) == once


@given(st.lists(st.sampled_from(KNOWN)), st.sets(st.sampled_from(KNOWN)))
def test_finer_truth_is_read_in_a_models_terms(truth, known):
    """A label stays where the model knows it, else becomes its parent, else is refused by name."""
    coarse = [name if name in known else categories.PARENTS.get(name) for name in truth]
    strangers = [name for name, read in zip(truth, coarse, strict=True) if read not in known]
    if strangers:
        with pytest.raises(DataError, match=f"'{strangers[0]}'"):
            categories.read_as(truth, sorted(known))
    else:
        assert categories.read_as(truth, sorted(known)) == coarse
