"""The house rules: what a reader may rely on without opening a file."""

import ast
import configparser
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docstring_parser import DocstringStyle
from docstring_parser import parse as parse_docstring

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "leukoscope"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
FORBIDDEN_NAMES = {
    *("utils", "util", "helpers", "common", "misc", "base", "core"),
    *("manager", "handler", "factory"),
}
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# The places that resolve names lazily; anywhere else an import must be one that a reader, and the
# import contract, can see.
LAZY = {"__init__.py", "verbs/__init__.py", "cli/app.py"}
# The rooms of the house and its files, whether git knows them already or not.
HOUSE = ("src", "tests", "docs", "scripts", "benchmarks", "results", ".ci")
# Folders that may hold pictures of more than 200 kB. None may hold real cells.
PICTURE_FOLDERS: tuple[str, ...] = ()


def within(path: Path) -> str:
    """Name a module as seen from the package."""
    return path.relative_to(PACKAGE).as_posix()


def committed_files() -> list[Path]:
    """List what git tracks and what stands in the house's own folders."""
    listed = ""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = {ROOT / name for name in listed.split("\0") if name}
    found |= {path for folder in HOUSE for path in (ROOT / folder).rglob("*")}
    found |= {*ROOT.glob("*.*"), ROOT / "LICENSE"}
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Start this environment's Python and wait for it."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# Imports


def lint_imports(parent: Path) -> subprocess.CompletedProcess[str]:
    """Check the contract on the package that lies in *parent*."""
    run = "from importlinter.cli import lint_imports_command as main; main()"
    config = str(ROOT / ".importlinter")
    return python(
        *("-c", run, "--config", config, "--no-cache", "--no-logo"),
        cwd=parent,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_imports_go_down_only() -> None:
    """The import contract holds for the package as it is."""
    result = lint_imports(PACKAGE.parent)
    assert result.returncode == 0, result.stdout + result.stderr


IMPORT_FAULTS = {
    "undrawn room": ("utils/__init__.py", "", "leukoscope.utils"),
    "lazy upward import": (
        "stats/planted.py",
        "def f():\n    from leukoscope.verbs import train\n",
        "leukoscope.stats.planted -> leukoscope.verbs",
    ),
    "sibling": (
        "reporting/planted.py",
        "import leukoscope.replication\n",
        "leukoscope.reporting.planted -> leukoscope.replication",
    ),
    "torch in a quiet room": (
        "records/planted.py",
        "def f():\n    import torch\n",
        "leukoscope.records.planted -> torch",
    ),
    "timm outside models": (
        "training/planted.py",
        "from timm import create_model\n",
        "leukoscope.training.planted -> timm",
    ),
}


@pytest.mark.parametrize("fault", IMPORT_FAULTS)
def test_contract_finds_a_planted_import(fault: str, tmp_path: Path) -> None:
    """A room, import or library where none may be breaks the contract and is named."""
    name, text, named = IMPORT_FAULTS[fault]
    ignore = shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(PACKAGE, tmp_path / "leukoscope", ignore=ignore)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text(text, encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert named in result.stdout


def test_every_room_but_models_is_kept_from_timm() -> None:
    """The contract about timm lists every room of the picture but one."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter", encoding="utf-8")
    rooms = re.findall(r"\w+", contract["importlinter:contract:down"]["layers"])
    kept = contract["importlinter:contract:timm"]["source_modules"].split()
    assert {f"leukoscope.{room}" for room in rooms} - set(kept) == {"leukoscope.models"}


# Shape of the code


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its head and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_functions(text: str) -> list[str]:
    """Name the functions of more than 60 lines in a module's text."""
    nodes = ast.walk(ast.parse(text))
    return [node.name for node in nodes if isinstance(node, FUNCTION) and body_length(node) > 60]


@pytest.mark.parametrize("module", MODULES, ids=within)
def test_modules_and_functions_are_short(module: Path) -> None:
    """A module has at most 400 lines, a function body at most 60."""
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert long_functions(text) == []


def test_a_long_function_is_found_and_its_docstring_forgiven() -> None:
    """Sixty lines of body pass and sixty-one do not, whatever the docstring's length."""
    lines = '    """Say.\n' + "\n" * 90 + '    """\n' + "    x = 1\n" * 60
    assert long_functions(f"def f():\n{lines}") == []
    assert long_functions(f"class C:\n    pass\ndef g():\n{lines}    x = 1\n") == ["g"]


def test_names_say_what_is_inside() -> None:
    """No module has a name that could hold anything, and every room is a package."""
    stems = {path.stem for path in PACKAGE.rglob("*") if path.is_dir() or path.suffix == ".py"}
    assert stems & FORBIDDEN_NAMES == set()
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert rooms
    assert [room.name for room in rooms if not (room / "__init__.py").exists()] == []


def calls(module: str, node: ast.AST) -> Iterator[str]:
    """Name what a node calls, or reaches for, that the house does not use."""
    match node:
        case ast.Call(func=ast.Name(id="print")) if not module.startswith("cli/"):
            yield "print"
        case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
            yield name
        case ast.Name(id="__import__" | "import_module" as name) if module not in LAZY:
            yield name
        case ast.Attribute(attr="import_module" as name) if module not in LAZY:
            yield name
        case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
            yield "torch.load"


def shapes(node: ast.AST) -> Iterator[str]:
    """Name a form of code that the house does not write."""
    match node:
        case ast.keyword(arg="allow_pickle", value=value) if ast.unparse(value) != "False":
            yield "allow_pickle"
        case ast.ExceptHandler(type=None):
            yield "bare except"
        case ast.FunctionDef(name=name, args=ast.arguments(kwarg=ast.arg())) if name[0] != "_":
            yield "**kwargs"


def imports(node: ast.AST) -> Iterator[str]:
    """Name an import of what unpickles, or one from the root, which the contract cannot follow."""
    names = {each.name for each in getattr(node, "names", []) if isinstance(each, ast.alias)}
    match node:
        case ast.Import():
            yield from sorted({name.split(".")[0] for name in names} & UNPICKLERS)
            yield from names & {"leukoscope"}
        case ast.ImportFrom(module="leukoscope"):
            yield from sorted(names - ROOMS - {"__version__"})
        case ast.ImportFrom(module="torch"):
            yield from ("torch.load" for name in names & {"load"})
        case ast.ImportFrom(module=str(source)) if source.split(".")[0] in UNPICKLERS:
            yield source


def breaches(module: str, text: str) -> list[str]:
    """Name each thing in a module's text that the house does not do."""
    nodes = list(ast.walk(ast.parse(text)))
    return [
        each for node in nodes for each in (*calls(module, node), *shapes(node), *imports(node))
    ]


@pytest.mark.parametrize("module", MODULES, ids=within)
def test_modules_keep_the_house_rules(module: Path) -> None:
    """No print outside cli, nothing unpickled or evaluated, no bare except, no **kwargs."""
    assert breaches(within(module), module.read_text(encoding="utf-8")) == []


PLANTED = {
    "print(1)": ["print"],
    "x = eval('1')": ["eval"],
    "exec('1')": ["exec"],
    "import importlib\nimportlib.import_module('leukoscope.verbs')": ["import_module"],
    "import torch\ntorch.load('x')": ["torch.load"],
    "from torch import load": ["torch.load"],
    "np.load('x', allow_pickle=True)": ["allow_pickle"],
    "try:\n    f()\nexcept:\n    pass": ["bare except"],
    "def f(**options): pass": ["**kwargs"],
    "import pickle as p": ["pickle"],
    "def f():\n    from joblib.memory import load": ["joblib.memory"],
    "from leukoscope import train": ["train"],
    "import leukoscope": ["leukoscope"],
    "model.eval(); np.load('x', allow_pickle=False); pprint(1)": [],
    "def _f(**options): pass": [],
    "try:\n    f()\nexcept OSError:\n    pass": [],
    "from leukoscope import stats\nfrom leukoscope.stats import scores": [],
}


@pytest.mark.parametrize("text", PLANTED)
def test_planted_breaches_are_found(text: str) -> None:
    """Each planted breach is found under its name, and nothing is found where none is."""
    assert breaches("stats/planted.py", text) == PLANTED[text]


def test_the_command_line_may_print() -> None:
    """Printing is the command line's work."""
    assert breaches("cli/planted.py", "print(1)") == []


# Names, commands, documentation


def verbs() -> list[str]:
    """List the verbs that Python offers."""
    return list(importlib.import_module("leukoscope.verbs").__all__)


def verb_function(verb: str) -> object:
    """Fetch a verb's function from its own module."""
    return getattr(importlib.import_module(f"leukoscope.verbs.{verb}"), verb)


def typed(verb: str) -> str:
    """Spell a verb as it is typed."""
    return verb.replace("_", "-")


def command_function(verb: str) -> object:
    """Fetch what the command of that name calls."""
    return importlib.import_module("leukoscope.cli.app").app[typed(verb)].default_command


def parameters(function: object) -> list[tuple[object, ...]]:
    """List a function's parameters: name, kind and default."""
    listed = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(each.name, each.kind, each.default) for each in listed]


def test_the_table_of_contents_is_true() -> None:
    """Exported names are sorted, resolve, are all that dir shows, and hold every verb."""
    package = importlib.import_module("leukoscope")
    assert package.__all__ == sorted(package.__all__)
    assert [name for name in dir(package) if name[:2] != "__"] == package.__all__
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(verbs()) <= set(package.__all__)
    for verb in verbs():
        assert getattr(package, verb) is verb_function(verb)


def test_importing_is_light() -> None:
    """Importing the package starts neither torch nor polars."""
    heavy = "{'torch', 'polars', 'timm', 'cv2', 'matplotlib'}"
    result = python("-c", f"import sys, leukoscope; print({heavy} & sys.modules.keys())")
    assert result.stdout.strip() == "set()", result.stderr


def test_commands_are_verbs_are_headings() -> None:
    """The command line, the Python names and the reference's headings list the same verbs."""
    app = importlib.import_module("leukoscope.cli.app").app
    commands = sorted(name for name in app if not name.startswith("-"))
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert commands == sorted(map(typed, verbs()))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == sorted(verbs())
    assert {path.stem for path in (PACKAGE / "verbs").glob("[a-z]*.py")} >= set(verbs())


def test_commands_take_what_verbs_take() -> None:
    """A command has its verb's parameters, in order, with the same defaults and spelled alike."""
    app = importlib.import_module("leukoscope.cli.app").app
    for verb in verbs():
        expected = parameters(verb_function(verb))
        assert parameters(command_function(verb)) == expected
        for argument in app[typed(verb)].assemble_argument_collection(parse_docstring=False):
            if argument.field_info.kind is inspect.Parameter.KEYWORD_ONLY:
                assert "--" + argument.field_info.name.replace("_", "-") in argument.names


def test_every_parameter_is_explained() -> None:
    """A verb's docstring explains each parameter, in order, and what comes back."""
    for verb in verbs():
        function = verb_function(verb)
        text = inspect.getdoc(function) or ""
        doc = parse_docstring(text, style=DocstringStyle.NUMPYDOC)
        names = [name for name, *_ in parameters(function)]
        assert [entry.arg_name for entry in doc.params] == names, verb
        assert all(entry.description for entry in doc.params), verb
        assert doc.short_description, verb
        assert doc.returns, verb


def test_the_reference_is_fresh() -> None:
    """The reference page is what its generator would write now."""
    result = python(str(ROOT / "scripts" / "reference.py"), "--check")
    assert result.returncode == 0, result.stderr


def test_help_is_quick() -> None:
    """Showing the help takes a few times what importing the library that draws it does."""
    command = [str(Path(sys.executable).with_name("leukoscope")), "--help"]
    bare = [sys.executable, "-c", "import cyclopts, rich.console, rich.table, docstring_parser"]
    seconds: dict[str, list[float]] = {"help": [], "bare": []}
    for _ in range(5):
        for name, words in (("help", command), ("bare", bare)):
            start = time.perf_counter()
            subprocess.run(words, capture_output=True, check=True)
            seconds[name].append(time.perf_counter() - start)
        # Further turns could only make each quicker.
        if min(seconds["help"]) < 4 * min(seconds["bare"]):
            break
    # In turn and as a ratio, for a busy machine slows both; half a second on a quiet one.
    assert min(seconds["help"]) < 5 * min(seconds["bare"])


def test_help_needs_no_torch() -> None:
    """Showing the help starts no library that counts or draws."""
    script = (
        "import sys; sys.argv = ['leukoscope', '--help']\n"
        "from leukoscope.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print({'torch', 'timm', 'polars'} & sys.modules.keys())"
    )
    result = python("-c", script)
    assert result.stdout.splitlines()[-1:] == ["set()"], result.stderr


# What is committed


MACHINE = re.compile(r"(?<![\w.~*{}-])/(?:root|home|work|opt|Users)/\w|[A-Z]:\\Users")
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|\bdeb\.debian\.org|npmjs\.(?:org|com)")


def test_no_file_names_a_machine() -> None:
    """No committed text holds a path of one machine or the host of a package registry."""
    for path in committed_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        assert not MACHINE.search(text), path
        assert not REGISTRY.search(text), path


def test_planted_machine_paths_are_found() -> None:
    """Paths and hosts of one machine are told from those that every machine has."""
    named = ["/".join(("", place, "ann/x")) for place in ("root", "home", "work", "opt", "Users")]
    assert all(MACHINE.search(f'open("{path}")') for path in named)
    assert REGISTRY.search(".".join(("https://pypi", "org")))
    assert not MACHINE.search("../work/x docs/home/page https://example.org/home/x /usr/bin/env")


def test_no_weights_and_no_large_pictures_are_committed() -> None:
    """No model file is committed, and no picture large enough to show a real cell."""
    weights = {".safetensors", ".pt", ".pth", ".ckpt", ".onnx", ".pkl", ".npz"}
    pictures = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
    for path in committed_files():
        assert path.suffix.lower() not in weights, path
        allowed = path.relative_to(ROOT).as_posix().startswith(PICTURE_FOLDERS)
        large = path.suffix.lower() in pictures and path.stat().st_size > 200_000
        assert allowed or not large, path


def prose(text: str) -> str:
    """Leave out what a Markdown text shows as code."""
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """List the anchors that a page's headings make."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub("`", "", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """List a page's links that lead to no file or no heading."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / name if name else page
        here = target.read_text(encoding="utf-8") if target.suffix == ".md" and anchor else ""
        if not target.exists() or (anchor and anchor not in anchors(here)):
            dead.append(link)
    return dead


@pytest.mark.parametrize(
    "page",
    [path for path in committed_files() if path.suffix == ".md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link from one page to another leads to a file, and to a heading where it names one."""
    assert dead_links(page) == []


def test_planted_dead_links_are_found(tmp_path: Path) -> None:
    """A missing file and a missing heading are found; code and outside links are passed over."""
    (tmp_path / "there.md").write_text("# A `verb`, told\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](there.md) [b](there.md#a-verb-told) [c](#top) [d](https://example.org/x)\n"
        "`[e](code.md)`\n```\n[f](code.md)\n```\n[g](gone.md) [h](there.md#gone) [i](#gone)\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["gone.md", "there.md#gone", "#gone"]


@pytest.mark.parametrize("name", ["setup", "demo", "test", "check"])
def test_scripts_can_be_run(name: str) -> None:
    """Every script is executable and bash can read it."""
    assert os.access(ROOT / "scripts" / name, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / "scripts" / name], check=False).returncode == 0
