"""Bad input: a clear sentence, the right code, nothing lost and nothing left behind."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save
from tests.conftest import TRAINING
from tests.replication.conftest import STUDY

import leukoscope
from leukoscope.cli.app import main
from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import encode_png
from leukoscope.models.backbones import build
from leukoscope.records.lineage import is_copy
from leukoscope.records.runs import NetworkRecipe

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class Place:
    """Hold a folder with everything a case may need, and the words it is called by."""

    folder: Path
    cells: Path
    run: Path

    def listing(self) -> dict[str, bytes]:
        """Hash every file below the folder."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).digest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def pictures(folder, counts):
    """Write folders of noise pictures, so many of each category."""
    for name, n in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            noise = stream(i, "picture", name).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            (folder / name / f"{i}.png").write_bytes(encode_png(noise))
    return folder


@pytest.fixture(scope="module")
def faults(cells, finished, tmp_path_factory, one_thread):
    """Prepare a folder of faults once: each case proves that it left the folder as it was."""
    folder = tmp_path_factory.mktemp("faults")
    pictures(folder / "one-category", {"band": 3})
    (folder / "empty").mkdir()
    (folder / "folder.csv").mkdir()
    texts = {
        "misspelt.yaml": TRAINING.replace("learning_rate", "learning_rte"),
        "no.yaml": "model: [",
        "absurd.yaml": TRAINING.replace("0.002", "1.0e+30") + "optimiser: sgd\n",
        "misspelt-study.yaml": STUDY.replace("margin", "margn"),
        "columns.csv": "cell,truth\na,band\n",
        "taken.csv": "mine",
        "taken.png": "mine",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    restricted(folder / "w.safetensors")
    shutil.copytree(finished, folder / "unfinished")
    (folder / "unfinished" / "done.json").unlink()
    leukoscope.augment(cells, "flips", out=folder / "copies", factor=1.1)
    leukoscope.ingest(
        "folder", str(pictures(folder / "seen", {"b": 2, "c": 2})), out=folder / "lost"
    )
    (folder / "seen" / "c" / "1.png").unlink()
    return Place(folder, cells, finished)


def restricted(path):
    """Write weights with a card whose licence must be accepted."""
    data = save(build(NetworkRecipe(model="test_resnet"), 4, 32, seed=0).state_dict())
    path.write_bytes(data)
    path.with_suffix(".md").write_text(
        "`timm.create_model('test_resnet')` mean (0.5, 0.5, 0.5) std (0.5, 0.5, 0.5)\n"
        f"Licence: CC BY-NC 4.0\nsha256 {hashlib.sha256(data).hexdigest()}\n"
    )


def call(capsys, words):
    """Run the command here; give its code and what it wrote."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


CASES = {
    "empty folder": ("ingest folder empty --out d", 3, "holds no picture"),
    "folder that is not there": ("ingest folder nowhere --out d", 3, "does not exist"),
    "one category": ("ingest folder one-category --out d", 3, "telling apart takes at least two"),
    "unknown source": ("ingest fodler one-category --out d", 2, "folder"),
    "unknown setting": ("ingest phantom plian --out d", 2, "plain"),
    "unknown category map": ("ingest pbc one-category --out d --categories pbc31", 2, "pbc13"),
    "out exists": ("ingest phantom plain --out one-category", 2, "left untouched"),
    "missing dataset": ("train nowhere --out r", 3, "not a dataset folder"),
    "missing dataset, split": ("split nowhere", 3, "leukoscope ingest"),
    "missing dataset, study": ("study rotation --data nowhere --out s", 3, "dataset"),
    "unknown study": ("study rotatoin --data CELLS --out s", 2, "Did you mean rotation"),
    "unknown model": ("train CELLS --model resnet81 --out r", 2, "resnet18"),
    "unknown model, study": ("study demo --data CELLS --model vgg61 --out s", 2, "vgg16"),
    "unknown augmentation": ("train CELLS --augmentation rotatoin --out r", 2, "rotation"),
    "unknown augmentation, offline": ("augment CELLS flps --out d", 2, "flips"),
    "unknown split": ("train CELLS --split splitz --out r", 2, "splits"),
    "unknown fold": ("train CELLS --fold 7 --out r", 2, "fold 7 is not among them"),
    "unknown device": ("train CELLS --device gpu --out r", 2, "no device 'gpu'"),
    "unknown verb": ("trian CELLS", 2, "train"),
    "unknown option": ("train CELLS --out r --modle resnet18", 2, "modle"),
    "a word for a number": ("train CELLS --out r --updates many", 2, "many"),
    "no update": ("train CELLS --out r --updates 0", 2, "updates"),
    "a size no model takes": ("train CELLS --out r --size-px 4", 2, "size_px"),
    "recipe misspelt": ("train CELLS --recipe misspelt.yaml --out r", 2, "learning_rate"),
    "recipe broken": ("train CELLS --recipe no.yaml --out r", 2, "is not YAML"),
    "recipe missing": ("train CELLS --recipe nowhere.yaml --out r", 2, "cannot be read"),
    "study misspelt": ("study misspelt-study.yaml --data CELLS --out s", 2, "margin"),
    "weights missing": ("train CELLS --weights no.safetensors --out r", 2, "There are no weights"),
    "weights without card": ("train CELLS --weights empty --out r", 3, "neither a run nor a model"),
    "weights of another model": (
        "train CELLS --weights w.safetensors --model resnet18 --out r",
        3,
        "those of test_resnet, not of resnet18",
    ),
    "licence not accepted": (
        "train CELLS --weights w.safetensors --out r",
        2,
        "--accept-licence cc-by-nc-4.0",
    ),
    "licence not accepted, study": (
        "study demo --data CELLS --weights w.safetensors --out s --accept-licence mit",
        2,
        "--accept-licence cc-by-nc-4.0",
    ),
    "loss without end": ("train CELLS --recipe absurd.yaml --out RUN", 4, "learning_rate"),
    "unfinished run, predict": ("predict unfinished CELLS --out p.csv", 3, "not finished"),
    "unfinished run, evaluate": ("evaluate unfinished", 3, "not finished"),
    "no model": ("predict empty CELLS --out p.csv", 3, "neither a run nor a model"),
    "predictions exist": ("predict FINISHED CELLS --out taken.csv", 2, "left untouched"),
    "scores exist": ("evaluate FINISHED --out taken.csv", 2, "left untouched"),
    "no table": ("predict FINISHED CELLS --out calls.txt", 2, ".parquet or .csv"),
    "wrong columns": ("evaluate columns.csv", 3, "lacks cell_id, predicted"),
    "no predictions": ("evaluate nowhere.csv", 3, "no run and no predictions"),
    "no study": ("report empty", 3, "study"),
    "augment by less than nothing": ("augment CELLS flips --out d --factor 0.5", 2, "factor"),
    "split into two": ("split CELLS --name other --folds 2", 2, "at least 3"),
    "split by more than all": ("split CELLS --name other --test-share 0.9", 2, "sum to 1"),
    "split of a used name": ("split CELLS", 2, "was used by run"),
    "half a fold": ("split CELLS --name other --folds 3.5", 2, "--folds is 3.5; it should be a"),
    "half an update": ("train CELLS --out r --updates 1.5", 2, "--updates is 1.5; it should be a"),
    "a seed and a bit": ("augment CELLS flips --out d --seed=1.7", 2, "--seed is 1.7"),
    "seed below 0": ("split CELLS --name other --seed -1", 2, "--seed is -1"),
    "seed below 0, augment": ("augment CELLS flips --out d --seed -1", 2, "--seed is -1"),
    "folds with a share": (
        "split CELLS --name other --folds 3 --test-share 0.5",
        2,
        "belong to a hold-out",
    ),
    "augment without end": ("augment CELLS flips --out d --factor 1000", 2, "at most 100"),
    "augment in two ways": (
        "augment CELLS flips --out d --to 200 --balance",
        2,
        "--to and --balance each say how many",
    ),
    "augment in all ways": (
        "augment CELLS flips --out d --factor 2 --to 200 --per-category 60 --balance",
        2,
        "--factor, --to, --per-category and --balance each say",
    ),
    "augment to fewer": ("augment CELLS flips --out d --to 9", 2, "--to is 9, but the training"),
    "augment to half a cell": ("augment CELLS flips --out d --to 200.5", 2, "--to is 200.5; it"),
    "augment a larger category": (
        "augment CELLS flips --out d --per-category 2",
        2,
        "more originals are there of",
    ),
    "augment no originals": ("augment CELLS flips --out d --originals 0", 2, "--originals is 0"),
    "augment more originals": ("augment CELLS flips --out d --originals 999", 3, "999 were asked"),
    "augment by nothing": ("augment CELLS none --out d", 2, "'none' has no steps"),
    "augment copies": ("augment copies flips --out d", 3, "holds copies of cells already"),
    "augment onto what exists": ("augment CELLS flips --out one-category", 2, "left untouched"),
    "augment onto a file": ("augment CELLS flips --out taken.csv", 2, "left untouched"),
    "augment an unknown split": ("augment CELLS flips --out d --split splitz", 2, "splits"),
    "augment without a split": ("augment lost flips --out d", 3, "has no split yet"),
    "augment a missing dataset": ("augment nowhere flips --out d", 3, "not a dataset folder"),
    "augment by a missing recipe": ("augment CELLS no-such.yaml --out d", 2, "cannot be read"),
    "replay in a missing dataset": ("replay nowhere x --out x.png", 3, "not a dataset folder"),
    "replay where no copies are": ("replay CELLS x --out x.png", 2, "holds no copies"),
    "replay an unknown cell": ("replay copies x --out x.png", 2, "No copy in this dataset is"),
    "replay a misspelt copy": ("replay copies NEAR --out x.png", 2, "Did you mean phantom:"),
    "replay an original": ("replay copies ORIGINAL --out x.png", 2, "is no copy but a cell of"),
    "replay onto a file": ("replay copies COPY --out taken.png", 2, "left untouched"),
    "replay as a photograph": ("replay copies COPY --out x.jpg", 2, "should end in .png"),
    "no end of a scale": ("ingest folder one-category --out d --um-per-px inf", 2, "um-per-px"),
    "scores under a table's name": ("evaluate FINISHED --out new.csv", 2, "give a folder name"),
    "missing dataset, isolate": ("isolate nowhere --out d", 3, "not a dataset folder"),
    "missing dataset, measure": ("measure nowhere --out m.csv", 3, "not a dataset folder"),
    "isolated set exists": ("isolate CELLS --out one-category", 2, "left untouched"),
    "unknown fill": ("isolate CELLS --out d --fill whit", 2, "white? Nothing was"),
    "copies without background": ("isolate copies --out d", 3, "copies of cells"),
    "missing picture, isolate": ("isolate lost --out d", 3, "c/1.png of"),
    "missing picture, measure": ("measure lost --out m.csv", 3, "c/1.png of"),
    "measures exist": ("measure CELLS --out taken.csv", 2, "left untouched"),
    "measures onto a folder": ("measure CELLS --out folder.csv", 2, "is a folder"),
    "measures in no table": ("measure CELLS --out m.txt", 2, ".parquet or .csv"),
    "demo among other things": ("demo --out one-category", 2, "left untouched"),
    "demo over a file": ("demo --out taken.csv", 2, "left untouched"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_sentence(faults, capsys, case, tmp_path, monkeypatch):
    """Code, words, no result on stdout; and no file made, changed or lost anywhere."""
    text, code, said = CASES[case]
    monkeypatch.chdir(faults.folder)
    standing = {"CELLS": faults.cells, "FINISHED": faults.run, "RUN": tmp_path / "r"}
    copy = leukoscope.read_dataset(Path("copies")).manifest.filter(is_copy())["cell_id"][0]
    standing |= {"COPY": copy, "NEAR": copy + "0", "ORIGINAL": copy.partition("+")[0]}
    words = [standing.get(word, word) for word in text.split()]
    before = faults.listing()
    seen, out, err = call(capsys, words)
    assert seen == code, err
    assert said in err
    assert out == ""
    assert "Traceback" not in err
    if not err.startswith("╭"):
        # A word of the command that is wrong is answered in a box, with the nearest words.
        assert err.startswith("leukoscope: ")
        assert err.rstrip().endswith((".", "?"))
    assert faults.listing() == before


def test_a_category_with_one_picture_is_refused_where_it_matters(tmp_path, capsys):
    """It can be taken in, and looked at; it cannot be on three sides of a split."""
    collection = pictures(tmp_path / "collection", {"band": 9, "segmented": 1})
    assert call(capsys, ["ingest", "folder", collection, "--out", tmp_path / "d"])[0] == 0
    code, out, err = call(capsys, ["split", tmp_path / "d"])
    assert (code, out) == (3, "")
    assert "segmented (1)" in err
    assert not (tmp_path / "d" / "splits.parquet").exists()


def test_pictures_moved_after_ingest_are_missed_by_name(tmp_path, recipe_file, capsys):
    """Moved back, all goes well."""
    collection = pictures(tmp_path / "collection", {"band": 9, "segmented": 9})
    dataset, run = tmp_path / "d", tmp_path / "r"
    for words in (("ingest", "folder", collection, "--out", dataset), ("split", dataset)):
        assert call(capsys, words)[0] == 0
    collection.rename(tmp_path / "moved")
    training = ("train", dataset, "--recipe", recipe_file, "--out", run, "--device", "cpu")
    code, out, err = call(capsys, training)
    assert (code, out) == (3, "")
    assert "collection, which is not there" in err
    assert "Move them back" in err
    (tmp_path / "moved").rename(collection)
    assert call(capsys, training)[0] == 0


def test_an_accepted_licence_opens_the_weights(tmp_path, cells, capsys):
    """And is written down with the run."""
    restricted(tmp_path / "w.safetensors")
    run = tmp_path / "r"
    words = ["train", cells, "--weights", tmp_path / "w.safetensors", "--out", run]
    words += ["--size-px", "32", "--updates", "1", "--accept-licence", "cc-by-nc-4.0"]
    code, out, _ = call(capsys, [*words, "--device", "cpu"])
    assert (code, out) == (0, f"{run}\n")
    assert "licence: cc-by-nc-4.0" in (run / "recipe.yaml").read_text()
    assert "cc-by-nc-4.0" in (run / "model" / "model.json").read_text()


FEW = """
name: few
n_cases: 2
cells_per_case: 4
mix: {segmented: 1, band: 1, eosinophil: 1, lymphocyte: 1}
size_px: 40
"""


def test_paths_may_be_text_in_python(tmp_path, finished, monkeypatch):
    """Each verb takes a string where the command line makes a path of it."""
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "collection", {"band": 6, "segmented": 6})
    assert leukoscope.ingest("folder", Path("collection"), out="d") == Path("d")
    assert leukoscope.split("d") == Path("d/splits.parquet")
    assert leukoscope.augment("d", "flips", out="more", factor=1.5) == Path("more")
    copy = leukoscope.read_dataset(Path("more")).manifest.filter(is_copy())["cell_id"][0]
    assert leukoscope.replay("more", copy, out="one.png") == Path("one.png")
    Path("few.yaml").write_text(FEW)
    assert leukoscope.ingest("phantom", "few.yaml", out="cells") == Path("cells")
    assert leukoscope.isolate("cells", out="alone") == Path("alone")
    assert leukoscope.measure("alone", out="m.csv") == Path("m.csv")
    made = leukoscope.predict(str(finished), "cells", out="p.csv")
    assert made == Path("p.csv")
    assert leukoscope.evaluate(str(finished), out="scores").results.height > 0
    assert Path("scores/results.csv").exists()


def test_a_begun_demo_goes_on_and_a_foreign_folder_does_not(tmp_path):
    """Nothing, an empty folder and a demo's own leftovers are taken; anything else is refused."""
    from leukoscope.verbs.demo import _refuse_foreign

    for name in ("cells", "study", ".cells.x.part"):
        _refuse_foreign(tmp_path / "demo")
        (tmp_path / "demo" / name).mkdir(parents=True)
    _refuse_foreign(tmp_path / "demo")
    (tmp_path / "demo" / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        _refuse_foreign(tmp_path / "demo")
