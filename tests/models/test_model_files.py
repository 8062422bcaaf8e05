"""A model folder is taken whole or not at all: exchanged, changed and impossible files."""

import hashlib
import json
import shutil
import subprocess

import pytest
from tests.models.modelled import modelled
from tests.models.test_exported_probes import probed

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.models.cards import read_card
from leukoscope.models.folders import load_model, write_model
from leukoscope.models.model_files import read_bound_card

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = ("model.json", "model.safetensors")


@pytest.fixture(scope="module")
def written(tmp_path_factory, one_thread):
    """Write two models whose cards are word for word the same, and one of trees."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "one", *modelled(1, network="lenet"))
    write_model(folder / "two", *modelled(2, network="lenet"))
    write_model(folder / "trees", *probed("trees"))
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """Give copies that a test may change."""
    return shutil.copytree(written, tmp_path / "models")


def rewrite(folder, **changes):
    """Write a card anew with some facts changed, and its digest with it."""
    facts = json.loads((folder / "model.json").read_text()) | changes
    (folder / "model.json").write_text(json.dumps(facts))
    names = sorted(path.name for path in folder.iterdir() if path.name != "model.sha256")
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    lines = [f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)]
    (folder / "model.sha256").write_text("".join(lines))


@pytest.mark.parametrize("name", ["one", "trees"])
def test_the_digests_are_those_that_sha256sum_reads(written, name):
    """Of every other file in the folder, and of nothing else."""
    ran = subprocess.run(
        ["sha256sum", "--check", "--strict", "model.sha256"],
        cwd=written / name,
        capture_output=True,
        text=True,
        check=True,
    )
    others = {path.name for path in (written / name).iterdir()} - {"model.sha256"}
    assert {line.split(":")[0] for line in ran.stdout.splitlines()} == others


def test_weights_of_another_model_are_refused_though_their_cards_agree(folder):
    """As a model and as starting weights; what is wrong with which file is said."""
    assert (folder / "one/model.json").read_bytes() == (folder / "two/model.json").read_bytes()
    shutil.copy(folder / "two/model.safetensors", folder / "one/model.safetensors")
    for read in (load_model, read_card):
        with pytest.raises(DataError, match=r"one/model\.safetensors is not the file that was"):
            read(folder / "one")
        assert read(folder / "two")


@pytest.mark.parametrize("model", ["one", "trees"])
def test_one_changed_byte_is_found_in_any_file(folder, model):
    """Wherever it lies: ten places of each file, drawn; and all of the digests."""
    draw = stream(0, "places", model)
    for path in sorted((folder / model).iterdir()):
        whole = path.read_bytes()
        # Without its last line end the file of digests says the same.
        every = range(len(whole) - 1)
        for place in every if path.suffix == ".sha256" else draw.integers(0, len(whole), 10):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(DataError):
                read_bound_card(folder / model)
        path.write_bytes(whole)
        read_bound_card(folder / model)


@pytest.mark.parametrize("cut", [0, 20, -20])
def test_cut_digests_are_no_old_folder(folder, cut):
    """Emptied, or cut short: refused, and the file is named."""
    path = folder / "one" / "model.sha256"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"model\.sha256 does not state the digests"):
        load_model(folder / "one")


@pytest.mark.parametrize("lines", ["0" * 64 + "  ../two/model.json\n", "x" * 5000, "\x00\xff"])
def test_digests_of_other_files_are_not_looked_for(folder, lines):
    """A path out of the folder, a long text, bytes that are no text."""
    with (folder / "one" / "model.sha256").open("a", encoding="latin-1") as file:
        file.write(lines)
    with pytest.raises(DataError, match="does not state the digests"):
        load_model(folder / "one")


def test_a_folder_of_an_earlier_version_is_taken(folder):
    """It kept no digests, and nobody can say what its files were."""
    (folder / "one" / "model.sha256").unlink()
    assert load_model(folder / "one")[1] == load_model(folder / "two")[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 1e-300}, "its temperature is 1e-300"),
        ({"temperature": 1e300}, "its temperature is 1e"),
        ({"categories": ["band", "lymphocyte", "band", "x"]}, "it names the category band twice"),
        ({"categories": []}, "it names no category"),
    ],
)
def test_a_card_that_no_model_has_is_refused(folder, changes, said):
    """Though its digest be right: somebody wrote both."""
    rewrite(folder / "one")
    load_model(folder / "one")
    rewrite(folder / "one", **changes)
    for read in (load_model, read_card):
        with pytest.raises(DataError, match=f"no card of a model: {said}"):
            read(folder / "one")
