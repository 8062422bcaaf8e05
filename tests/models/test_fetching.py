"""Fetching from a real server on this machine, which can be told to misbehave."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from safetensors.torch import save
from tests.models.carded import network_of

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.models.backbones import build
from leukoscope.models.cards import read_card, weights_folder
from leukoscope.models.fetching import fetch_weights, published_config
from leukoscope.models.weights import load_weights
from leukoscope.records.runs import NetworkRecipe
from leukoscope.verbs.fetch import fetch

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = "test_resnet.r160_in1k"
PLACE = f"/timm/{NAME}/resolve/main/model.safetensors"


@dataclass
class Server:
    """Hold what a server gives and how it misbehaves, and what it was asked."""

    data: bytes
    url: str = ""
    tag: str | None = None
    """What it says the digest is; the true one unless told otherwise."""
    cut: int | None = None
    """After how many bytes of an answer the line breaks."""
    status: int = 200
    redirect: str | None = None
    kind: str = "application/octet-stream"
    ranges: bool = True
    says_size: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def tag_said(self) -> str:
        return self.tag if self.tag is not None else f'"{hashlib.sha256(self.data).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    """Answer as a hub that redirects to a store, which knows ranges."""

    told: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        stated = self.headers.get("Range")
        self.told.asked.append((self.path, stated))
        if self.told.status != 200:
            self.answer(self.told.status, b"no", {})
        elif self.path == PLACE:
            where = self.told.redirect or "/store/file?signed=yes"
            self.answer(302, b"", {"Location": where, "X-Linked-ETag": self.told.tag_said})
        else:
            self.give(int(stated.split("=")[1].rstrip("-")) if stated else 0)

    def give(self, start: int) -> None:
        whole = len(self.told.data)
        if start and self.told.ranges and start >= whole:
            self.answer(416, b"", {"Content-Range": f"bytes */{whole}"})
        elif start and self.told.ranges:
            stated = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"}
            self.answer(206, self.told.data[start:], stated)
        else:
            self.answer(200, self.told.data, {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": self.told.kind} | headers
        if self.told.says_size:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        # Who has seen enough closes the line.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: self.told.cut])


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """Run a server that has the weights of a network of ten outputs."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    told = Server(save(network_of("test_resnet", 1000, seed=1)[0].state_dict()))
    running = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (Handler,), {"told": told}))
    told.url = f"http://127.0.0.1:{running.server_address[1]}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield told
    running.shutdown()
    running.server_close()
    thread.join()


def names(folder):
    """List what stands in a folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


WHOLE = [f"{NAME}.md", f"{NAME}.safetensors"]
PART = f"{NAME}.safetensors.part"


def test_what_is_fetched_is_weights_with_their_card(server, tmp_path):
    """The bytes are the server's, the card says what timm says, and a network starts from them."""
    path = fetch_weights(NAME, tmp_path, base_url=server.url)
    assert names(tmp_path) == WHOLE
    assert path.read_bytes() == server.data
    card = read_card(path)
    assert card.model == "test_resnet"
    assert card.build_arguments == {}
    assert (card.mean, card.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert card.origin.name == NAME
    assert card.origin.licence == "apache-2.0"
    assert card.origin.interpolation == "bilinear"
    assert card.origin.sha256 == hashlib.sha256(server.data).hexdigest()
    page = path.with_suffix(".md").read_text()
    assert f"{server.url}{PLACE}" in page
    assert "160 x 160, RGB" in page
    network, recipe = network_of("test_resnet", 1000)
    load_weights(network, card, recipe, keep_head=True)


def test_weights_that_stand_there_are_not_fetched_again(server, tmp_path):
    """Nobody is asked; a file that is another is left untouched."""
    path = fetch_weights(NAME, tmp_path, base_url=server.url)
    n_asked = len(server.asked)
    assert fetch_weights(NAME, tmp_path, base_url=server.url) == path
    assert len(server.asked) == n_asked
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is not what was fetched"):
        fetch_weights(NAME, tmp_path, base_url=server.url)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("cut", [1, 1000, 100_000])
def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path, cut):
    """Only the rest is asked for, and the file is the server's in the end."""
    server.cut = cut
    with pytest.raises(RunError, match=r"broke off.*goes on from there"):
        fetch_weights(NAME, tmp_path, base_url=server.url)
    assert names(tmp_path) == [PART]
    assert (tmp_path / PART).read_bytes() == server.data[:cut]
    server.cut = None
    path = fetch_weights(NAME, tmp_path, base_url=server.url)
    assert server.asked[-1][1] == f"bytes={cut}-"
    assert path.read_bytes() == server.data
    assert names(tmp_path) == WHOLE


def test_every_interruption_leaves_more_until_it_is_whole(server, tmp_path):
    """A line that breaks again and again gets there."""
    server.cut = len(server.data) // 5 + 1
    for n in range(1, 5):
        with pytest.raises(RunError, match="broke off"):
            fetch_weights(NAME, tmp_path, base_url=server.url)
        assert (tmp_path / PART).stat().st_size == n * server.cut
    assert fetch_weights(NAME, tmp_path, base_url=server.url).read_bytes() == server.data


def test_a_whole_part_needs_no_more_than_its_place(server, tmp_path):
    """A process killed before the last step left all bytes: they are checked and kept."""
    (tmp_path / PART).write_bytes(server.data)
    assert fetch_weights(NAME, tmp_path, base_url=server.url).read_bytes() == server.data
    assert names(tmp_path) == WHOLE


@pytest.mark.parametrize("reason", ["no ranges", "no digest", "too long a part"])
def test_what_cannot_be_gone_on_with_is_begun_anew(server, tmp_path, reason):
    """A server without ranges or without a digest, or a part that is longer than the file."""
    old = b"another file's beginning"
    (tmp_path / PART).write_bytes(server.data + b"x" if reason == "too long a part" else old)
    server.ranges = reason != "no ranges"
    server.tag = '"an-opaque-tag"' if reason == "no digest" else None
    assert fetch_weights(NAME, tmp_path, base_url=server.url).read_bytes() == server.data


def test_a_part_of_another_file_is_found_out_by_the_digest(server, tmp_path):
    """It is removed, so that the next try succeeds."""
    (tmp_path / PART).write_bytes(b"another file's beginning")
    with pytest.raises(DataError, match="is not the published file: sha256"):
        fetch_weights(NAME, tmp_path, base_url=server.url)
    assert names(tmp_path) == []
    assert fetch_weights(NAME, tmp_path, base_url=server.url).read_bytes() == server.data


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"status": 404}, RunError, "answers 404.*there is no such file"),
        ({"status": 401}, RunError, "answers 401.*asks for an account"),
        ({"status": 500}, RunError, "answers 500.*a fault of its own"),
        ({"status": 204}, RunError, "does not say how large"),
        ({"kind": "text/html; charset=utf-8"}, RunError, r"sends a page \(text/html\)"),
        ({"redirect": "http://weights.example/file"}, RunError, "weights.example is not HTTPS"),
        ({"redirect": "file:///etc/hostname"}, RunError, "answers 302.*is not HTTPS"),
        ({"redirect": "ftp://weights.example/file"}, RunError, "is not HTTPS"),
        ({"redirect": PLACE}, RunError, "answers 302.*in circles"),
        ({"says_size": False}, RunError, "does not say how large"),
        ({"tag": f'"{"0" * 64}"'}, DataError, "not the published file.*against 000000000000…"),
        ({"data": b"no tensors"}, DataError, "cannot be read as safetensors"),
    ],
    ids=str,
)
def test_a_server_that_misbehaves_leaves_nothing(server, tmp_path, wrong, error, said):
    """The error says what it did."""
    for name, value in wrong.items():
        setattr(server, name, value)
    with pytest.raises(error, match=said):
        fetch_weights(NAME, tmp_path, base_url=server.url)
    assert names(tmp_path) == []


def test_a_server_that_is_not_there_is_an_error(server, tmp_path):
    """Its name is said; so is one that is not HTTPS, which is not asked."""
    with pytest.raises(RunError, match=r"127\.0\.0\.1 cannot be reached"):
        fetch_weights(NAME, tmp_path, base_url="http://127.0.0.1:9")
    with pytest.raises(RunError, match="is not HTTPS"):
        fetch_weights(NAME, tmp_path, base_url="http://weights.example")
    assert names(tmp_path) == []


def test_two_fetches_of_one_file_do_not_mix(server, tmp_path):
    """The second is refused while the first is at work."""
    with (
        files.locked(tmp_path / PART, wait=False),
        pytest.raises(RunError, match="Another process is at work"),
    ):
        fetch_weights(NAME, tmp_path, base_url=server.url)


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    """Before anybody is asked."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        fetch_weights(NAME, tmp_path / "file", base_url=server.url)
    assert server.asked == []


# Names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", r"several kinds.*resnet18\.a1_in1k"),
        ("resnet18.a1_in1", r"Did you mean resnet18\.a1_in1k"),
        ("resnet81.a1_in1k", "Did you mean"),
        ("legacy_seresnet18.in1k", "can run code"),
        ("resnet10t_no_such", "No published weights"),
        ("test_resnet4", "No published weights"),
        ("../../etc/passwd", "No published weights"),
        ("", "No published weights"),
        ("lenet", "No published weights"),
    ],
)
def test_names_without_published_weights_are_refused(tmp_path, name, said):
    """Before anybody is asked; near ones are given."""
    with pytest.raises(UsageError, match=said):
        fetch_weights(name, tmp_path, base_url="http://127.0.0.1:9")
    assert names(tmp_path) == []


def test_a_network_of_timm_without_weights_is_told_from_an_unknown_name():
    """There is nothing to fetch for it."""
    import timm

    published = {name.partition(".")[0] for name in timm.list_pretrained()}
    bare = next(name for name in timm.list_models() if name not in published)
    with pytest.raises(UsageError, match=f"No weights are published for {bare}"):
        published_config(bare)


def fetched_card(server, folder, name, data):
    """Fetch other weights than the test's own, from the same server."""
    server.data = data
    server.redirect = None
    return read_card(fetch_weights(name, folder, base_url=server.url))


def test_a_transformer_is_fetched_so_that_it_takes_any_size_its_patches_do(server, tmp_path):
    """Published for one picture size, it is built to take others too."""
    name = "test_vit.r160_in1k"
    data = save(network_of("test_vit", 1000, 160, seed=1)[0].state_dict())
    card = fetched_card(server, tmp_path, name, data)
    assert card.build_arguments == {"dynamic_img_size": True}
    recipe = NetworkRecipe(model=card.model, build_arguments=card.build_arguments)
    load_weights(build(recipe, 4, 48, seed=0), card, recipe)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("resnet18.fb_swsl_ig1b_ft_in1k", "cc-by-nc-4.0"),
        ("vit_small_patch16_dinov3.lvd1689m", "dinov3-license"),
    ],
)
def test_a_restrictive_licence_is_recorded_and_said(server, tmp_path, name, licence):
    """With what training will ask for."""
    notes = []
    with progress.noting(notes.append):
        card = fetched_card(server, tmp_path, name, server.data)
    assert card.origin.licence == licence
    (note,) = notes
    assert note.startswith(f"{name} is under the licence {licence}, which restricts its use")
    assert note.endswith(f"--accept-licence {licence}.")


def test_the_verb_knows_weights_alone_and_their_default_folder(server, tmp_path, monkeypatch):
    """What is there already is found there, without a question to anybody."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = fetch_weights(NAME, weights_folder(), base_url=server.url)
    assert fetch("weights", NAME) == path
    assert read_card(NAME).path == path
    with pytest.raises(UsageError, match="No thing to fetch is called 'models'"):
        fetch("models", NAME)
