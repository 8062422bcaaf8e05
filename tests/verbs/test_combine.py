"""Generated cells among the other verbs: each does what is expected of it, or says why not."""

import json
import shutil

import polars as pl
import pytest
from tests.intake.sampled import card_for, judged, made, names_of, sampled

import leukoscope
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import content_of, decode
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split, write_dataset
from leukoscope.records.lineage import is_generated
from leukoscope.verbs.combine import combine

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(cells, tmp_path_factory):
    """Give the drawn cells, generated ones and both; tests leave them alone."""
    folder = tmp_path_factory.mktemp("folders")
    plain = shutil.copytree(cells, folder / "plain")
    drawn = made(plain, folder / "drawn", n=3)
    return {"plain": plain, "drawn": drawn, "both": combine(plain, drawn, out=folder / "both")}


def test_options_reach_their_place(folders, tmp_path):
    """Number, rule and hand, given as a person gives them: as text."""
    (tmp_path / "picked.csv").write_text("cell_id\n" + "\n".join(names_of(folders["drawn"])[:6]))
    out = combine(
        str(folders["plain"]),
        str(folders["drawn"]),
        out=str(tmp_path / "out"),
        n=4,
        select="in-manifold",
        picked=str(tmp_path / "picked.csv"),
        picked_by="XY",
        split="splits",
    )
    card = read_dataset(out).card.recipe["combined"][0]
    assert (card["rule"], card["kept"]) == ("hand-picked, in-manifold", 4)


@pytest.mark.parametrize("which", ["drawn", "both"])
def test_what_is_for_real_cells_refuses_generated_ones(folders, tmp_path, which):
    """Split, augment and isolate name them, and say what to do instead."""
    folder = folders[which]
    with pytest.raises(DataError, match=r"holds 12 generated cells.*then synthesise, sample"):
        leukoscope.split(folder, name="again")
    assert not (folder / "splits-again.parquet").exists()
    with pytest.raises(DataError, match=r"12 generated cells.*fit a generator to its isolated"):
        leukoscope.isolate(folder, out=tmp_path / "out")
    said = r"12 generated cells.*then combine" if which == "both" else "has no split yet"
    with pytest.raises(DataError, match=said):
        leukoscope.augment(folder, "flips", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", ["drawn", "both"])
def test_generated_pictures_are_not_taken_in_as_cells(folders, tmp_path, which):
    """Not as they lie there, and not from folders of categories within the dataset."""
    folder = shutil.copytree(folders[which], tmp_path / which)
    for source in (folder, folder / "images"):
        with pytest.raises(DataError, match="Nothing was written"):
            leukoscope.ingest("folder", str(source), out=tmp_path / "out")
    rows = read_dataset(folder).manifest.filter(is_generated())
    for path, category in rows.select("path", "category").rows():
        (folder / "images" / category).mkdir(exist_ok=True)
        (folder / path).rename(folder / "images" / category / (folder / path).name)
    with pytest.raises(DataError, match="they would pass for cells"):
        leukoscope.ingest("folder", str(folder / "images"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_generated_cells_can_be_measured(folders, tmp_path):
    """Each row says that it is one, so that nobody counts it as a cell."""
    table = pl.read_parquet(leukoscope.measure(folders["both"], out=tmp_path / "m.parquet"))
    assert table.height == 132
    assert table.filter(is_generated())["cell_id"].to_list() == sorted(names_of(folders["drawn"]))


def test_generated_cells_are_called_and_never_scored(folders, finished, tmp_path):
    """With the dataset or without, of both kinds or alone: by family and by origin."""
    for which in ("drawn", "both"):
        table = leukoscope.predict(finished, folders[which], out=tmp_path / f"{which}.csv")
        with pytest.raises(DataError, match=r"12 of \d+ predictions are of generated cells"):
            leukoscope.evaluate(table)
        with pytest.raises(DataError, match="are of copies of cells, for example generated-"):
            leukoscope.evaluate(table, dataset=folders[which])
    asked = read_split(read_dataset(folders["both"]), "splits", 0, 0).filter(split="test")
    rows = tables.read_table(tmp_path / "both.csv", shapes.PREDICTIONS)
    rows = rows.join(asked.select("cell_id"), on="cell_id", how="semi")
    tables.write_table(tmp_path / "test.csv", rows, shapes.PREDICTIONS)
    found = leukoscope.evaluate(tmp_path / "test.csv", dataset=folders["both"])
    assert found.results["n_cells"].max() == asked.height


def test_a_classifier_scores_no_generated_cell(folders, finished):
    """Its own score asks as evaluate does."""
    classifier = leukoscope.LeukocyteClassifier(updates=1)
    from leukoscope.models.folders import load_model

    classifier.network_, classifier.card_ = load_model(finished / "model")
    classifier.classes_ = classifier.card_.categories
    with pytest.raises(DataError, match="12 of 12 predictions are of generated cells"):
        classifier.score(folders["drawn"])


def test_a_study_of_pictures_shows_real_cells(folders, tmp_path):
    """A preview passes generated cells over."""
    out = leukoscope.preview(folders["both"], "flips", out=tmp_path / "preview.html")
    assert "generated-" not in out.read_text()


# Replay


def test_a_generated_cell_asks_for_its_generator(folders, tmp_path):
    """Without a run it is refused, and so is a run for a copy that no generator drew."""
    name = names_of(folders["drawn"])[0]
    for which in ("drawn", "both"):
        with pytest.raises(UsageError, match=r"drawn by generator:01.* Add --run"):
            leukoscope.replay(folders[which], name, out=tmp_path / "x.png")
        with pytest.raises(DataError, match="is no generator run"):
            leukoscope.replay(folders[which], name, out=tmp_path / "x.png", run=tmp_path)
    copies = leukoscope.augment(folders["plain"], "flips", out=tmp_path / "copies", factor=1.1)
    copy = read_dataset(copies).manifest.filter(pl.col("copy") == 1)["cell_id"][0]
    with pytest.raises(UsageError, match=r"no generator drew it.*Leave --run out"):
        leukoscope.replay(copies, copy, out=tmp_path / "x.png", run=tmp_path)
    assert not (tmp_path / "x.png").exists()


@pytest.fixture(scope="module")
def generator(cells, tmp_path_factory):
    """Fit a generator for two updates."""
    from leukoscope.synthesis.features import open_judge_features
    from leukoscope.synthesis.recipe import GeneratorRecipe
    from leukoscope.synthesis.run import synthesise_run

    folder = tmp_path_factory.mktemp("generator")
    plain = shutil.copytree(cells, folder / "plain")
    value = {"size_px": 16, "generator_width": 4, "critic_width": 4, "latent": 8}
    value |= {"members": "one-each", "updates": 2, "validate_every": 2, "batch_size": 4}
    features = open_judge_features(None, size_px=16)
    known = read_dataset(_two(plain))
    recipe = GeneratorRecipe.from_mapping(value, where="a test")
    return synthesise_run(known, recipe, features=features, out=folder / "run", device="cpu")


def _two(folder):
    """Keep two categories, so that two generators are fitted and not four."""
    known = read_dataset(folder)
    kept = known.manifest.filter(pl.col("category").is_in(["band", "lymphocyte"]))
    card = known.card.model_copy(update={"categories": ("band", "lymphocyte")})
    splits = tables.read_table(folder / "splits.parquet", shapes.SPLITS)
    splits = splits.join(kept, on="cell_id", how="semi")
    tables.write_table(folder / "splits.parquet", splits, shapes.SPLITS)
    write_dataset(folder, card, kept)
    return folder


def test_generated_cells_are_drawn_again_byte_for_byte(generator, tmp_path):
    """From the sample and from the dataset it was combined into, held against the manifest."""
    from leukoscope.synthesis.sampling import sample_run

    plain = generator.parent / "plain"
    drawn = judged(sample_run(generator, n=6, out=tmp_path / "drawn", seed=5))
    both = combine(plain, drawn, out=tmp_path / "both")
    for folder in (drawn, both):
        rows = read_dataset(folder).manifest.filter(is_generated()).to_dicts()
        assert len(rows) == 6
        for i, row in enumerate(rows):
            out = tmp_path / f"{folder.name}-{i}.png"
            leukoscope.replay(folder, row["cell_id"], out=out, run=generator)
            assert out.read_bytes() == (folder / row["path"]).read_bytes()
            assert content_of(decode(out.read_bytes(), name="x").pixels) == row["content"]


def test_another_generator_or_draw_is_told(generator, tmp_path):
    """The run must be the row's, and the pixels the manifest's."""
    from leukoscope.synthesis.sampling import sample_run

    drawn = sample_run(generator, n=2, out=tmp_path / "drawn")
    row = read_dataset(drawn).manifest.to_dicts()[0]
    stranger = sampled(tmp_path / "stranger", card_for(generator.parent / "plain"), n=1)
    name = read_dataset(stranger).manifest["cell_id"][0]
    with pytest.raises(DataError, match=r"was drawn by generator:0123"):
        leukoscope.replay(stranger, name, out=tmp_path / "x.png", run=generator)
    known = read_dataset(drawn)
    other = known.manifest.with_columns(draw=pl.lit(json.dumps({"seed": 9, "number": 0})))
    write_dataset(drawn, known.card, other)
    with pytest.raises(DataError, match="is not the picture that the manifest names; the stored"):
        leukoscope.replay(drawn, row["cell_id"], out=tmp_path / "x.png", run=generator)
    assert not (tmp_path / "x.png").exists()
