"""Starting weights from the internet: the only code of the house that opens a connection."""

import contextlib
import datetime as dt
import http.client
import inspect
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError, unknown_name
from leukoscope.models.cards import WeightsCard, read_card
from leukoscope.models.weights import read_tensors
from leukoscope.records.runs import FREE_LICENCES

HUB = "https://huggingface.co"
"""Where timm's authors publish its weights."""
_WAIT_S = 60
_PIECE = 1 << 20
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOSSES = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class _Told:
    """What a server says of a file: its size and, where it does, its SHA-256."""

    n_bytes: int
    sha256: str | None


def fetch_weights(name: str, folder: Path, *, base_url: str = HUB) -> Path:
    """Fetch published weights of a timm network, and write their card.

    Parameters
    ----------
    name : str
        The network's timm name with its tag, for example ``mobilenetv2_100.ra_in1k``.
    folder : Path
        Where ``NAME.safetensors`` and ``NAME.md`` are to stand.
    base_url : str
        The server; only HTTPS, or the machine itself.

    Returns
    -------
    Path
        The weights file. One that stands there already with its card is left as it is.

    Raises
    ------
    UsageError
        If timm knows no such weights, or another file stands there.
    RunError
        If the server refuses, sends something else, or the line breaks: what came is kept as
        ``NAME.safetensors.part``, and the same command goes on from there.
    DataError
        If what came is not the published file, or cannot be read as tensors; it is removed.
    """
    published = published_config(name)
    path = Path(folder) / f"{name}.safetensors"
    if path.exists():
        _refuse_other(path)
        return path
    url = f"{base_url.rstrip('/')}/{published.hf_hub_id}/resolve/main/model.safetensors"
    part = path.with_name(f"{path.name}.part")
    with files.locked(part, wait=False):
        try:
            told = _download(url, part)
            _verify(part, told, name)
            card = _page(name, published, part, url)
            files.write_text(path.with_suffix(".md"), card)
            # The card first: whoever finds weights finds their card.
            _put_in_place(part, path)
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()
    _note_licence(read_card(path))
    return path


def published_config(name: str) -> Any:
    """Find what timm says of published weights.

    Raises
    ------
    UsageError
        If there is no such name, it has no tag, or nothing safe to open is published.
    """
    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    import timm

    network, _, tag = name.partition(".")
    tagged = timm.list_models(f"{network}.*", pretrained=True) if network else []
    if not tag and tagged:
        raise UsageError(
            f"{network} has several kinds of published weights. Give one with its tag: "
            + ", ".join(sorted(tagged))
            + ". Nothing was fetched."
        )
    if not tag and network in timm.list_models():
        raise UsageError(f"No weights are published for {network}. Nothing was fetched.")
    if name not in tagged:
        raise unknown_name("published weights", name, tagged or timm.list_pretrained())
    published = timm.get_pretrained_cfg(name)
    if published is None or not published.hf_hub_id or published.hf_hub_filename:
        raise UsageError(
            f"The weights {name} are published only as a kind of file that can run code when it "
            "is opened. Nothing was fetched."
        )
    return published


def _refuse_other(path: Path) -> None:
    try:
        read_card(path)
    except DataError as error:
        raise UsageError(
            f"{path} stands there already and is not what was fetched: {error} It was left "
            "untouched. Move it away, then give the same command again."
        ) from None


# The connection


class _Watching(urllib.request.HTTPRedirectHandler):
    """Follow redirects to HTTPS alone, and remember what each answer says of the file."""

    def __init__(self) -> None:
        self.said: list[Message] = []

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Make the request that follows a redirect. Raises RunError if it is not safe."""
        _refuse_open(newurl)
        self.said.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_open(url: str) -> None:
    seen = urllib.parse.urlsplit(url)
    if seen.scheme != "https" and not (seen.scheme == "http" and seen.hostname in _LOOPBACK):
        raise RunError(
            f"{seen.scheme}://{seen.hostname} is not HTTPS: anybody on the way could change what "
            "it sends. Nothing was fetched from it."
        )


def _download(url: str, part: Path) -> _Told:
    """Fetch what is missing of a file. Raises RunError; what came stays."""
    have = part.stat().st_size
    told = _transfer(url, part, have) if have else None
    if told is None:
        told = _transfer(url, part, 0)
    if told is None:
        raise RunError(f"{url} sends only a piece, unasked. Nothing was fetched.")
    return told


def _transfer(url: str, part: Path, have: int) -> _Told | None:
    """Fetch a file from a byte on, or give nothing where that cannot be gone on with."""
    with _asked(url, have) as (answer, said):
        told = _told_by(answer, said, url)
        if answer.status == 200:
            _append(answer, part, 0, told, url)
            return told
        # Where no digest would find a mixture of two files out, nothing is gone on with.
        if not have or told.sha256 is None:
            return None
        if answer.status == 416:
            return told if have == told.n_bytes else None
        if _starts_at(answer) != have or have > told.n_bytes:
            return None
        _append(answer, part, have, told, url)
        return told


@contextlib.contextmanager
def _asked(url: str, have: int) -> Iterator[tuple[http.client.HTTPResponse, list[Message]]]:
    """Ask for a file from a byte on. Raises RunError for every way in which that can fail."""
    _refuse_open(url)
    watching = _Watching()
    headers = {"User-Agent": "leukoscope", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    host = urllib.parse.urlsplit(url).hostname
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.build_opener(watching).open(request, timeout=_WAIT_S) as answer:
            yield answer, [*watching.said, answer.headers]
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            with error:
                yield error, [*watching.said, error.headers]  # type: ignore[misc]
            return
        raise RunError(_refusal(error.code, url)) from None
    except _LOSSES as error:
        reason = getattr(error, "reason", None) or error
        raise RunError(
            f"{host} cannot be reached, or broke off: {reason}. What came is kept. Look after the "
            "connection, then give the same command again."
        ) from None


def _refusal(code: int, url: str) -> str:
    meaning = {
        401: "it asks for an account",
        403: "it asks for an account or a consent",
        404: "there is no such file",
        429: "it is asked too often",
    }
    other = {3: "it sends on in circles, or to what is not HTTPS", 5: "it has a fault of its own"}
    why = meaning.get(code) or other.get(code // 100, "it refuses")
    return (
        f"{urllib.parse.urlsplit(url).hostname} answers {code} for {url}: {why}. Nothing was "
        "fetched. Try again later, or fetch the file in another way and write its card "
        "(docs/models.md)."
    )


def _told_by(answer: http.client.HTTPResponse, said: list[Message], url: str) -> _Told:
    """Read size and digest from the answers' headers. Raises RunError if it is no file."""
    kind = answer.headers.get_content_type()
    if answer.status in (200, 206) and kind.startswith("text/"):
        raise RunError(
            f"{url} sends a page ({kind}) and no weights: perhaps a proxy asks for a login. "
            "Nothing was fetched."
        )
    total = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    length = answer.headers.get("Content-Length", "")
    if answer.status == 200 and length.isdecimal():
        n_bytes = int(length)
    elif answer.status in (206, 416) and total:
        n_bytes = int(total[1])
    else:
        raise RunError(f"{url} does not say how large it is. Nothing was fetched.")
    # A store behind the server may tag the file by a digest of its own: its word comes last.
    tags = [message.get(word, "") for word in ("X-Linked-ETag", "ETag") for message in said]
    found = (re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', tag) for tag in tags)
    return _Told(n_bytes, next((match[1] for match in found if match), None))


def _starts_at(answer: http.client.HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _append(
    answer: http.client.HTTPResponse, part: Path, start: int, told: _Told, url: str
) -> None:
    n_bytes = start
    with files.disk_errors(part), part.open("r+b") as file:
        file.truncate(start)
        file.seek(start)
        while n_bytes < told.n_bytes and (piece := _read(answer, told.n_bytes - n_bytes, url)):
            file.write(piece)
            n_bytes += len(piece)
            progress.tell("fetch", n_bytes // 1_000_000, max(1, told.n_bytes // 1_000_000))
    if n_bytes != told.n_bytes:
        raise RunError(
            f"{url} broke off at {n_bytes:,} of {told.n_bytes:,} bytes. What came is kept. Give "
            "the same command again; it goes on from there."
        )


def _read(answer: http.client.HTTPResponse, most: int, url: str) -> bytes:
    """Read a piece. Raises RunError, so that a lost line is not taken for a broken disk."""
    try:
        return answer.read(min(_PIECE, most))
    except _LOSSES as error:
        raise RunError(
            f"{url} broke off: {error}. What came is kept. Give the same command again; it goes "
            "on from there."
        ) from None


# What came


def _verify(part: Path, told: _Told, name: str) -> None:
    """Compare with what was told, and read the tensors once. Raises DataError; removes the file."""
    try:
        if told.sha256 is not None and (seen := files.digest_of(part)) != told.sha256:
            raise DataError(
                f"What came for {name} is not the published file: sha256 {seen[:12]}… against "
                f"{told.sha256[:12]}…. It was removed. Give the same command again."
            )
        read_tensors(part)
    except DataError:
        part.unlink()
        raise


def _put_in_place(part: Path, path: Path) -> None:
    with files.disk_errors(path):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)


def _page(name: str, published: Any, part: Path, url: str) -> str:
    """Write the card in the form that :func:`leukoscope.models.cards.read_card` reads."""
    _, height, width = published.input_size
    source = published.origin_url or published.url or f"timm, as {published.hf_hub_id}"
    paper = f"; {published.paper_ids}" if isinstance(published.paper_ids, str) else ""
    # A licence without an SPDX name stands in backticks: it is then read as it is.
    licence = f"`{published.license}`" if published.license else "not stated"
    colours = f"mean {_three(published.mean)}, std {_three(published.std)}"
    today = dt.datetime.now(dt.UTC).date()
    return f"""# {name}

File `{name}.safetensors`, {part.stat().st_size:,} bytes, sha256 `{files.digest_of(part)}`

- **Architecture:** `timm.create_model({_call(published)})`
- **Source:** {source}{paper}
- **Licence:** {licence}
- **Input:** {height} x {width}, RGB, /255, {colours}; {published.interpolation}.
- **Fetched:** {today} from {url}
"""


def _call(published: Any) -> str:
    """Write a network's arguments; a transformer of one size is built so that it takes others."""
    import timm

    name = published.architecture
    entry = timm.model_entrypoint(name)
    module = inspect.getmodule(entry)
    taking = getattr(module, "VisionTransformer", None)
    sizes = taking and "dynamic_img_size" in inspect.signature(taking).parameters
    is_plain = module is not None and module.__name__.endswith(".vision_transformer")
    return f"'{name}', dynamic_img_size=True" if sizes and is_plain else f"'{name}'"


def _three(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:.10f}".rstrip("0").ljust(3, "0") for number in numbers) + ")"


def _note_licence(card: WeightsCard) -> None:
    licence = card.origin.licence
    if licence not in FREE_LICENCES:
        progress.note(
            f"{card.origin.name} is under the licence {licence}, which restricts its use: training "
            f"from it asks for --accept-licence {licence}."
        )
