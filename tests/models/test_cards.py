import json

import pytest
from tests.models.carded import carded, network_of, weights_of

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.models.cards import read_card, refuse_other_categories, weights_folder
from leukoscope.models.folders import write_model
from leukoscope.records.runs import (
    ModelCard,
    NetworkRecipe,
    Preprocessing,
    WeightsOrigin,
    read_model_card,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_card_of_the_shared_mobilenet(weights):
    """Its build arguments matter; its licence is free."""
    card = read_card(weights["mobilenetv2_100"])
    assert card.model == "mobilenetv2_100"
    assert card.build_arguments == {"pad_type": "same", "bn_eps": 1e-3}
    assert card.mean == card.std == (0.5, 0.5, 0.5)
    assert card.origin.licence == "apache-2.0"
    assert card.origin.sha256.startswith("141e7edf1dfc9dd5")


def test_the_card_of_the_shared_resnet(weights):
    """It names two licences; the stricter one counts."""
    card = read_card(weights["resnet18"])
    assert card.model == "resnet18"
    assert card.build_arguments == {}
    assert card.mean == (0.485, 0.456, 0.406)
    assert card.std == (0.229, 0.224, 0.225)
    assert card.origin.licence == "cc-by-nc-4.0"


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", "mit"),
        ("Apache-2.0 (text beside it)", "apache-2.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC BY 4.0, or CC BY-NC-SA 4.0 after its file", "cc-by-nc-sa-4.0"),
        ("ask the authors", "unknown"),
        ("CC BY-NC", "cc-by-nc"),
        ("CC0-1.0", "cc0-1.0"),
        ("GPL-3.0, parts MIT", "gpl-3.0"),
        ("MIT, for non-commercial use", "unknown"),
    ],
)
def test_a_licence_is_read_as_its_strictest(tmp_path, licence, expected):
    """Lower-case SPDX; unknown where no known one is named."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"), licence=licence)
    assert read_card(path).origin.licence == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("The code is licensed under MIT.\n\n- **Licence:** CC BY-NC 4.0", "cc-by-nc-4.0"),
        ("- **License:** MIT\nThe pictures' licence is CC BY-NC-ND 4.0.", "cc-by-nc-nd-4.0"),
        ("- Licence: MIT\nThe data have the licence CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("- Licence: CC BY-SA 4.0\nLicences of parts: CC BY-ND 4.0", "cc-by-nd-4.0"),
        ("Its code has an Apache-2.0 licence.\n- **Licence**: BSD-3-Clause", "bsd-3-clause"),
        ("license: cc-by-nc-4.0\nlibrary: MIT", "cc-by-nc-4.0"),
        ("## Licence\n\nCC BY-NC 4.0\n\nThe code's licence is MIT.", "cc-by-nc-4.0"),
        ("From MIT, CC BY-NC 4.0 elsewhere\n- Licence: Apache-2.0", "apache-2.0"),
        ("Licence: MIT\nThe licence allows NonCommercial use only.", "unknown"),
        ("No word of it; MIT is a school.", "unknown"),
    ],
)
def test_of_several_licence_lines_the_strictest_counts(tmp_path, lines, expected):
    """Whatever their order; of equals the line that begins with the label; other lines never."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("- **Licence:** MIT", lines))
    assert read_card(path).origin.licence == expected


def test_a_file_that_is_not_the_one_of_its_card_is_refused(tmp_path):
    """Both digests are shown, shortened."""
    path = carded(tmp_path / "w.safetensors", b"something else", digest="0" * 64)
    with pytest.raises(DataError, match=r"not the file its card describes.*000000000000…"):
        read_card(path)


def test_weights_without_a_card_are_refused(tmp_path):
    """The card's expected name is given."""
    (tmp_path / "w.safetensors").write_bytes(weights_of("test_resnet"))
    with pytest.raises(DataError, match=r"no card w\.md"):
        read_card(tmp_path / "w.safetensors")


@pytest.mark.parametrize("word", ["timm.create_model", "mean", "std", "sha256"])
def test_a_card_that_says_too_little_is_refused(tmp_path, word):
    """What is lacking is named."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    card = path.with_suffix(".md")
    card.write_text(card.read_text().replace(word, "…"))
    with pytest.raises(DataError, match=f"does not state {word}"):
        read_card(path)


@pytest.mark.parametrize(
    "arguments", [", os.remove('x'", ", key=open('x'", ", **{}", ", 3", ", 3 +"]
)
def test_a_card_is_read_and_never_run(tmp_path, arguments):
    """Only literal arguments are taken from the call it shows."""
    data = weights_of("test_resnet")
    path = carded(tmp_path / "w.safetensors", data, arguments=arguments)
    with pytest.raises(DataError, match=r"w\.md holds a call that cannot be read"):
        read_card(path)


def test_a_card_in_another_encoding_is_read(tmp_path):
    """A letter that is not UTF-8 stops nothing."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    card = path.with_suffix(".md")
    card.write_bytes(b"Stra\xdfe\n" + card.read_bytes())
    assert read_card(path).model == "test_resnet"


def test_missing_weights_are_refused(tmp_path):
    """Nothing was started, and it says what to give."""
    with pytest.raises(UsageError, match="There are no weights at"):
        read_card(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    "name", ["dinov3-license", "apple-ascl", "cc-by-nc-4.0", "own", "two words"]
)
def test_a_licence_of_its_own_name_is_read_from_backticks(tmp_path, name):
    """As it stands there; that weights were trained here no card can say."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"), licence=f"`{name}`")
    expected = "unknown" if name in ("own", "two words") else name
    assert read_card(path).origin.licence == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("; bilinear.", "bilinear"),
        (" (x/127.5 - 1); Bicubic, centre crop.", "bicubic"),
        ("; nearest", "nearest"),
        ("", None),
        ("\n- Not bicubic", None),
    ],
)
def test_how_pictures_were_resized_is_recorded(tmp_path, said, expected):
    """The line of the input says it, and it goes into every recipe by way of the origin."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("(0.4, 0.5, 0.6)", f"(0.4, 0.5, 0.6){said}"))
    assert read_card(path).origin.interpolation == expected


def test_another_order_of_colours_is_refused(tmp_path):
    """Blue first is named, and what to do."""
    path = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("RGB", "BGR"))
    with pytest.raises(DataError, match=r"blue first \(BGR\).*Turn the channels"):
        read_card(path)


def test_the_tag_of_a_card_is_no_part_of_its_network(tmp_path):
    """timm builds by the name before the dot."""
    data = weights_of("test_resnet")
    path = carded(tmp_path / "w.safetensors", data, model="test_resnet.r160_in1k")
    assert read_card(path).model == "test_resnet"


@pytest.mark.parametrize("arguments", [", x=" + "[" * 5000, ", x=[1]", ", x={[]: 1}", ", x=1+"])
def test_a_strange_call_is_an_error_of_the_card(tmp_path, arguments):
    """However deep its brackets: no traceback, and the error stays short."""
    path = carded(tmp_path / "w.safetensors", b"any", arguments=arguments)
    with pytest.raises(DataError, match="holds a call that cannot be read") as seen:
        read_card(path)
    assert len(str(seen.value)) < 400


def test_numbers_that_are_none_are_refused(tmp_path):
    """Three dots look like a number to a pattern."""
    path = carded(tmp_path / "w.safetensors", b"any")
    page = path.with_suffix(".md")
    page.write_text(page.read_text().replace("(0.1, 0.2, 0.3)", "(0.1, ..., 0.3)"))
    with pytest.raises(DataError, match="numbers that cannot be read"):
        read_card(path)


def test_a_page_too_large_for_a_card_is_not_read(tmp_path):
    """It stops at a megabyte."""
    path = carded(tmp_path / "w.safetensors", b"any")
    path.with_suffix(".md").write_text("x" * 1_000_001)
    with pytest.raises(DataError, match="larger than 1 MB"):
        read_card(path)


# Names


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Let the user's data directory be an empty one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return weights_folder()


def test_the_folder_of_weights_is_the_users(home, tmp_path, monkeypatch):
    """By XDG_DATA_HOME, which must be absolute; else below the home directory."""
    assert home == tmp_path / "data" / "leukoscope" / "weights"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for stated in ("", "relative/place"):
        monkeypatch.setenv("XDG_DATA_HOME", stated)
        assert weights_folder() == tmp_path / "me" / ".local/share/leukoscope/weights"


def test_fetched_weights_are_found_by_name(home):
    """The same card as by path."""
    home.mkdir(parents=True)
    path = carded(home / "test_resnet.r160_in1k.safetensors", weights_of("test_resnet"))
    assert read_card("test_resnet.r160_in1k") == read_card(path)


@pytest.mark.parametrize(
    ("given", "whole"),
    [("mobilenetv2_100.ra_in1k", "mobilenetv2_100.ra_in1k"), ("resnet18", "resnet18.a1_in1k")],
)
def test_a_name_that_was_not_fetched_ends_with_the_line_that_fetches_it(home, given, whole):
    """To be copied as it is; a name without its tag gets timm's default."""
    with pytest.raises(UsageError) as seen:
        read_card(given)
    assert str(seen.value).splitlines()[-1] == f"leukoscope fetch weights {whole}"


@pytest.mark.parametrize(
    "given", ["resnet18.bogus", "nonsense", "w.safetensors", "no/where", "resnet18.pt"]
)
def test_a_name_that_nobody_publishes_gets_no_such_line(home, given):
    """It is taken for a path that is not there."""
    with pytest.raises(UsageError, match="There are no weights at") as seen:
        read_card(given)
    assert "leukoscope fetch" not in str(seen.value)


# Model folders


CATEGORIES = ("a", "b", "c", "d")


def model_folder(path, *, weights=None, **changes):
    """Write a model folder of a small network."""
    network, recipe = network_of(**changes)
    card = ModelCard(
        **recipe.model_dump(),
        categories=CATEGORIES,
        preprocessing=Preprocessing(size_px=32, mean=(0.1, 0.2, 0.3)),
        weights=weights,
        dataset_digest="d",
        training_cells_digest="t",
    )
    write_model(path, network, card)
    return path


def test_a_model_folder_gives_weights_with_its_own_origin(tmp_path):
    """Its card is the model's; trained from nothing it is ours, else it inherits the licence."""
    origin = WeightsOrigin(name="w", sha256="0" * 64, licence="cc-by-nc-4.0")
    own = read_card(model_folder(tmp_path / "own", head="dense"))
    assert own.origin.licence == "own"
    assert own.mean == (0.1, 0.2, 0.3)
    assert own.trained_as == NetworkRecipe(model="test_resnet", head="dense")
    assert own.categories == CATEGORIES
    other = read_card(model_folder(tmp_path / "other", weights=origin))
    assert other.origin.licence == "cc-by-nc-4.0"


def test_a_model_folder_that_lost_its_tensors_is_refused(tmp_path):
    """The file is named."""
    folder = model_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        read_card(folder)


def test_a_classical_model_and_an_arm_start_no_network(tmp_path):
    """One has no network that goes on learning, the other has several."""
    folder = model_folder(tmp_path / "00" / "model")
    card = read_model_card(folder)
    for name in ("recipe.yaml", "done.json"):
        (tmp_path / "00" / name).write_text("{}")
    assert read_card(tmp_path / "00").trained_as is not None
    with pytest.raises(DataError, match="holds several runs"):
        read_card(tmp_path)
    probe = card.model_dump(mode="json") | {"classifier": {"kind": "knn"}}
    (folder / "model.json").write_text(json.dumps(probe))
    (folder / "model.sha256").unlink()
    with pytest.raises(DataError, match="is a knn model on features"):
        read_card(tmp_path / "00")


def test_a_head_is_kept_only_where_its_outputs_mean_the_same(tmp_path):
    """In order; both lists are named. A file does not say what its outputs mean."""
    card = read_card(model_folder(tmp_path / "model"))
    refuse_other_categories(card, list(CATEGORIES))
    with pytest.raises(DataError, match=r"outputs are a, b, c, d, and here they are b, a, c, d"):
        refuse_other_categories(card, ("b", "a", "c", "d"))
    file = carded(tmp_path / "w.safetensors", weights_of("test_resnet"))
    with pytest.raises(DataError, match="does not say what their outputs mean"):
        refuse_other_categories(read_card(file), CATEGORIES)
