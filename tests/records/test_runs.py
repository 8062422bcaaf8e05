import pytest

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, LicenceError, SchemaError
from leukoscope.records import runs

CARD = runs.ModelCard(
    model="resnet18",
    categories=("band", "monocyte"),
    preprocessing=runs.Preprocessing(size_px=32),
    dataset_digest="d",
    training_cells_digest="t",
    seen=runs.SeenCells(contents=("a", "b")),
)


def write_run(folder, *, done):
    """Lay out a run folder as training leaves it, whole or not."""
    files.write_text(folder / "recipe.yaml", "model: resnet18\n")
    files.write_json(folder / "model" / "model.json", CARD.model_dump(mode="json"))
    (folder / "predictions.parquet").write_bytes(b"")
    if done:
        files.write_json(folder / "done.json", {"updates": 3})


def test_a_finished_run_and_its_model_folder_lead_to_the_model(tmp_path):
    """Both may be given; the card comes back as it was written."""
    write_run(tmp_path, done=True)
    model = tmp_path / "model"
    assert runs.model_folder_of(tmp_path) == runs.model_folder_of(model) == model
    assert runs.read_model_card(model) == CARD
    assert runs.is_finished(tmp_path)
    assert runs.read_done(tmp_path) == {"updates": 3}
    assert runs.predictions_of(tmp_path) == tmp_path / "predictions.parquet"
    assert runs.predictions_of(tmp_path / "predictions.parquet").is_file()


def test_an_unfinished_run_is_refused(tmp_path):
    """Without done.json nothing of a run is used, however complete it looks."""
    write_run(tmp_path, done=False)
    for use in (runs.model_folder_of, runs.predictions_of):
        with pytest.raises(DataError, match=r"not finished.*goes on where it stopped"):
            use(tmp_path)
    with pytest.raises(DataError, match=r"done\.json is missing"):
        runs.read_done(tmp_path)


def test_what_is_neither_is_told(tmp_path):
    """An empty folder is no run, a model folder has no predictions, a missing path is named."""
    with pytest.raises(DataError, match="neither a run nor a model folder"):
        runs.model_folder_of(tmp_path)
    write_run(tmp_path / "run", done=True)
    with pytest.raises(DataError, match="holds no predictions"):
        runs.predictions_of(tmp_path / "run" / "model")
    with pytest.raises(DataError, match="no run and no predictions table at"):
        runs.predictions_of(tmp_path / "gone")


def test_a_model_card_out_of_shape_is_a_data_error(tmp_path):
    """A missing card and one with a strange key name the file."""
    with pytest.raises(DataError, match=r"model\.json is missing"):
        runs.read_model_card(tmp_path)
    files.write_json(tmp_path / "model.json", CARD.model_dump(mode="json") | {"modl": 1})
    with pytest.raises(SchemaError, match=r"model\.json: modl .*model"):
        runs.read_model_card(tmp_path)


@pytest.mark.parametrize("licence", [*runs.FREE_LICENCES, "cc-by-nc-4.0", "unknown"])
def test_a_licence_that_restricts_must_be_accepted_by_name(licence):
    """Free licences pass; any other passes only under its own name, in any case of letters."""
    origin = runs.WeightsOrigin(name="w", sha256="0", licence=licence)
    runs.check_licence(origin, licence.upper())
    if licence in runs.FREE_LICENCES:
        runs.check_licence(origin, None)
        return
    for accepted in (None, "", "mit", "cc-by-nc-sa-4.0"):
        with pytest.raises(LicenceError, match=f"--accept-licence {licence}"):
            runs.check_licence(origin, accepted)
