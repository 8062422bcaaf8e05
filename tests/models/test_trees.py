import subprocess
import sys

import lightgbm
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.classical_reference import tree_scores

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.models.trees import Trees, fit_trees, parse_trees
from leukoscope.records.classifiers import BoostedTrees

pytestmark = pytest.mark.usefixtures("one_thread")


def grown(k=3, n=120, d=5, **changes):
    """Grow a few trees on overlapping clouds; text and new points."""
    draw = stream(3, "trees", k)
    codes = np.arange(2 * n) % k
    points = (draw.normal(size=(k, d))[codes] + draw.normal(size=(2 * n, d))).astype(np.float32)
    recipe = BoostedTrees(**{"rounds": 6, "leaves": 6, "smallest_leaf": 4} | changes)
    wide = points.astype(np.float64)
    return fit_trees(recipe, wide[:n], codes[:n], k, seed=0), points[n:]


TEXT, NEW = grown()


def scores(text, points):
    """Ask the trees."""
    return Trees(text)(torch.from_numpy(points)).numpy()


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("leaves", [2, 31])
def test_scores_are_lightgbms_own(k, leaves):
    """Raw scores of its own reader of the same text, and of a plain walk over its JSON."""
    text, new = grown(k, leaves=leaves)
    theirs = lightgbm.Booster(model_str=text)
    raw = theirs.predict(new, raw_score=True).reshape(len(new), -1)
    found = scores(text, new)
    assert found.shape == (len(new), k if k > 2 else 1)
    np.testing.assert_allclose(found, raw, atol=1e-12)
    slow = [tree_scores(theirs.dump_model(), x) for x in new[:10].astype(float).tolist()]
    np.testing.assert_allclose(found[:10], slow, atol=1e-12)
    both = np.concatenate([np.zeros_like(found), found], axis=1) if k == 2 else found
    chance = torch.softmax(torch.from_numpy(both), dim=1).numpy()
    their_chance = theirs.predict(new)
    np.testing.assert_allclose(chance[:, 1] if k == 2 else chance, their_chance, atol=1e-12)


def test_a_value_at_a_threshold_goes_left():
    """As LightGBM does: training values lie between thresholds, whole levels may lie on one."""
    forest = parse_trees(TEXT)
    at = np.zeros((1, 5), np.float64)
    node = int(forest.roots[0])
    at[0, forest.features[node]] = forest.thresholds[node]
    raw = lightgbm.Booster(model_str=TEXT).predict(at, raw_score=True)
    np.testing.assert_allclose(Trees(TEXT)(torch.from_numpy(at)).numpy(), raw, atol=1e-12)


def test_too_few_cells_for_a_split_answer_with_their_shares():
    """No tree can split six cells by leaves of four: chances are the shares of training."""
    codes = np.array([0, 0, 0, 1, 1, 2])
    text = fit_trees(BoostedTrees(), stream(1, "few").normal(size=(6, 4)), codes, 3, seed=0)
    found = torch.softmax(torch.from_numpy(scores(text, NEW[:2, :4])), dim=1).numpy()
    np.testing.assert_allclose(found, [[3 / 6, 2 / 6, 1 / 6]] * 2, atol=1e-6)


def test_the_text_names_no_settings_of_the_machine():
    """It ends with its last tree: no number of threads, no path."""
    assert TEXT.endswith("end of trees\n")
    assert "num_threads" not in TEXT
    assert "parameters" not in TEXT


# Texts that are not what they were


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_text_is_told(share):
    """Wherever it was cut."""
    with pytest.raises(DataError, match="text of the trees cannot be read"):
        parse_trees(TEXT[: int(share * len(TEXT))])


FAULTS = {
    "another output": ("num_tree_per_iteration=3", "num_tree_per_iteration=4"),
    "no output": ("num_tree_per_iteration=3", "num_tree_per_iteration=0"),
    "fewer features": ("max_feature_idx=4", "max_feature_idx=0"),
    "no features": ("max_feature_idx=4", "max_feature_idx=-1"),
    "endless leaves": ("num_leaves=6", "num_leaves=999999999999"),
    "negative leaves": ("num_leaves=6", "num_leaves=-6"),
    "a number of 5000 digits": ("num_leaves=6", "num_leaves=" + "9" * 5000),
    "a loop": ("left_child=", "left_child=0 0 0 0 0\nx="),
    "a leaf outside": ("left_child=", "left_child=-99 "),
    "not a number": ("leaf_value=", "leaf_value=nan "),
    "categories": ("num_cat=0", "num_cat=1"),
    "linear leaves": ("is_linear=0", "is_linear=1"),
    "missing values": ("decision_type=2", "decision_type=10"),
    "a line twice": ("num_cat=0", "num_cat=0\nnum_cat=0"),
    "a line of its own": ("num_cat=0", "num_cat=0\nimport os"),
    "a tree less": ("Tree=1", "Trees"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_told(fault):
    """One sentence, whatever was changed."""
    seen, planted = FAULTS[fault]
    assert seen in TEXT
    with pytest.raises(DataError, match="text of the trees cannot be read"):
        parse_trees(TEXT.replace(seen, planted, 1))


@settings(max_examples=150)
@given(st.data())
def test_a_changed_text_is_read_as_a_forest_or_refused(data):
    """Bytes changed, dropped or doubled anywhere: clean error, or trees that answer finitely."""
    start = data.draw(st.integers(0, len(TEXT) - 1))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text("0123456789-. \n=_abnTree\x00", max_size=12))
    changed = TEXT[:start] + put + TEXT[start + length :]
    try:
        answer = Trees(changed)
    except DataError:
        return
    # A number of features that only the reader of the card could doubt.
    if answer.n_features > 10_000:
        return
    points = torch.zeros(2, answer.n_features)
    assert torch.isfinite(answer(points)).all()


FUZZ = """
import sys
import torch
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.models.trees import Trees
text = sys.stdin.read()
draw = stream(5, "fuzz")
refused = 0
for _ in range(150):
    letters = list(text)
    for _ in range(int(draw.integers(1, 6))):
        at = int(draw.integers(len(letters)))
        letters[at] = chr(int(draw.integers(10, 120)))
    try:
        trees = Trees("".join(letters)[: int(draw.integers(1, 2 * len(text)))])
        trees(torch.zeros(1, min(trees.n_features, 10_000)))
    except DataError:
        refused += 1
print(refused)
"""


def test_hostile_texts_do_not_end_the_process():
    """In a process of its own: none of 150 changed or cut texts crashes it; most are refused."""
    command = [sys.executable, "-c", FUZZ]
    done = subprocess.run(command, input=TEXT, capture_output=True, text=True, check=True)
    assert 75 < int(done.stdout) <= 150
