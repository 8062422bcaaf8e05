import numpy as np
import pytest
import torch
from tests.models.modelled import CATEGORIES, CPU, FEEDING, modelled, noise, write_run

from leukoscope.foundation.errors import DataError
from leukoscope.models.ensembles import joined
from leukoscope.models.folders import load_model
from leukoscope.models.prediction import predict_probabilities
from leukoscope.records.runs import Preprocessing, SeenCells, WeightsOrigin, model_folder_of

pytestmark = pytest.mark.usefixtures("one_thread")


def answers(model, pixels):
    """Give the probabilities that a model and its card answer."""
    network, card = model
    return predict_probabilities(network, card, lambda part: pixels[part], len(pixels), CPU)


def arm(folder, several):
    """Write models as an arm's replicates."""
    for replicate, (network, card) in enumerate(several):
        write_run(folder / f"{replicate:02d}", network, card)
    return folder


def test_an_ensemble_of_one_is_that_model(tmp_path):
    """Views and temperature included."""
    one = modelled(temperature=1.7, test_views=8)
    pixels = noise(20)
    found = load_model(arm(tmp_path / "arm", [one]))
    np.testing.assert_allclose(answers(found, pixels), answers(one, pixels), atol=1e-6)


def test_an_ensemble_of_copies_is_the_copy(tmp_path):
    """Three times the same says the same."""
    one = modelled(temperature=0.6)
    pixels = noise(20)
    found = load_model(arm(tmp_path / "arm", [one] * 3))
    np.testing.assert_allclose(answers(found, pixels), answers(one, pixels), atol=1e-6)


def test_an_ensemble_answers_with_the_mean_of_probabilities(tmp_path):
    """Each with its own temperature and views; the order of replicates is nothing."""
    several = [modelled(0, temperature=0.5), modelled(1, temperature=3.0, test_views=8)]
    several.append(modelled(2))
    pixels = noise(20)
    expected = np.mean([answers(one, pixels) for one in several], axis=0)
    found = load_model(arm(tmp_path / "arm", several))
    again = load_model(arm(tmp_path / "other", several[::-1]))
    np.testing.assert_allclose(answers(found, pixels), expected, atol=1e-6)
    np.testing.assert_allclose(answers(again, pixels), expected, atol=1e-6)
    assert not found[0].training
    assert (found[1].temperature, found[1].test_views) == (1, 1)


def test_what_one_has_seen_the_ensemble_has_seen(tmp_path):
    """The union, sorted, each once."""
    first = modelled(0, seen=SeenCells(contents=("a", "c"), families=("f",), cases=("x",)))
    second = modelled(1, seen=SeenCells(contents=("b", "a"), families=("g",)))
    _, card = load_model(arm(tmp_path / "arm", [first, second]))
    assert card.seen == SeenCells(contents=("a", "b", "c"), families=("f", "g"), cases=("x",))
    assert card.training_cells_digest != first[1].training_cells_digest


def test_no_restriction_of_weights_is_lost():
    """Where one started from restricted weights, the ensemble's card says so."""
    free = WeightsOrigin(name="free", sha256="0", licence="mit")
    restricted = WeightsOrigin(name="not", sha256="1", licence="cc-by-nc-4.0")
    several = [modelled(0), modelled(1, weights=free), modelled(2, weights=restricted)]
    assert joined(several, ["a", "b", "c"])[1].weights == restricted
    assert joined(several[:2], ["a", "b"])[1].weights == free
    assert joined(several[:1], ["a"])[1].weights is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"categories": CATEGORIES[::-1]}, "categories are lymphocyte, band"),
        ({"categories": (*CATEGORIES, "one more")}, "categories"),
        ({"feeding": Preprocessing(size_px=40)}, "size_px are 32 and 40"),
        ({"feeding": FEEDING.model_copy(update={"mean": (0.5, 0.5, 0.5)})}, "mean are 0.485"),
        ({"feeding": FEEDING.model_copy(update={"std": (0.2, 0.2, 0.2)})}, "std are 0.229"),
    ],
)
def test_models_that_are_not_alike_do_not_answer_together(tmp_path, facts, said):
    """The first difference is named with both folders."""
    folder = arm(tmp_path / "arm", [modelled(0), modelled(1), modelled(2, **facts)])
    with pytest.raises(DataError, match=rf"00 and .*02 cannot answer together: their {said}"):
        load_model(folder)


def test_an_unfinished_replicate_is_named(tmp_path):
    """One that was stopped keeps the others from answering without it."""
    folder = arm(tmp_path / "arm", [modelled(0), modelled(1)])
    (folder / "01" / "done.json").unlink()
    for read in (load_model, model_folder_of):
        with pytest.raises(DataError, match=r"01 is not finished"):
            read(folder)


def test_other_folders_beside_the_replicates_are_passed_over(tmp_path):
    """Only numbered runs answer, a hundred of them in the order of their numbers."""
    one = modelled(0)
    folder = arm(tmp_path / "arm", [one])
    write_run(folder / "other", *modelled(5))
    (folder / "07").mkdir()
    network, _ = load_model(folder)
    assert len(network.members) == 1
    assert model_folder_of(folder) == folder


def test_a_run_and_its_model_folder_are_the_same_model(tmp_path):
    """A run is taken for its model."""
    run = write_run(tmp_path / "run", *modelled(3))
    pixels = noise(5)
    assert np.array_equal(
        answers(load_model(run), pixels), answers(load_model(run / "model"), pixels)
    )


def test_measures_reach_every_member():
    """An ensemble passes them on with the pictures."""

    class Measured(torch.nn.Module):
        def forward_with(self, pictures, measures):
            return torch.cat([measures, pictures.mean(dim=(1, 2, 3))[:, None]], dim=1)

    _, card = modelled(categories=("a", "b"), temperature=2.0)
    network, _ = joined([(Measured(), card), (Measured(), card)], ["a", "b"])
    pictures, measures = torch.rand(4, 3, 8, 8), torch.rand(4, 1)
    expected = torch.log_softmax(Measured().forward_with(pictures, measures) / 2, dim=1)
    assert torch.allclose(network.forward_with(pictures, measures), expected, atol=1e-6)
