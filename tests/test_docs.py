"""The documents keep to what is there: links, commands and their options, files, names, and the code that they show."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from mstclipiqa.base.documents import CONFIG_SCHEMA, read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS, TARGETS, TEST, TRAIN, VAL
from mstclipiqa.cli.main import main
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.protocols import PROTOCOLS, get_protocol
from mstclipiqa.model.variants import VARIANTS

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
DOCUMENTS = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")),
    *PAGES,
]
NAMES = {path.relative_to(REPOSITORY).as_posix(): path for path in DOCUMENTS}
RECIPES = {path.stem for path in (REPOSITORY / "config" / "recipes").glob("*.yaml")}
KEYS = set(read_yaml(CONFIG_SCHEMA)["properties"])

#: What the pages on adding something add.
ADDED = {
    "files": {
        "config/mine.yaml", "config/splits/ipce.csv", "mstclipiqa/data/benchmarks/my_set.py",
        "mstclipiqa/model/fusions/product.py",
    },
    "benchmarks": {"my-set"},
    "variants": {"product", "product-star", "my-fusion"},
    "protocols": {"halved2", "halved10"},
}  # fmt: skip

#: A protocol's name, or one that looks like it.
PROTOCOL_LIKE = re.compile(r"(lab-seed|grouped|random|halved)\d+|released|file-[a-z0-9-]+")

documents = pytest.mark.parametrize("name", NAMES)
pages = pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/")])


def text_of(name):
    return NAMES[name].read_text(encoding="utf-8")


def fenced(name):
    """The (language, content) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text_of(name), re.M | re.S)


def blocks(name):
    """Every block of code: fenced, or indented by four."""
    plain = re.sub(r"^```.*?^```$", "", text_of(name), flags=re.M | re.S)
    return [content for _, content in fenced(name)] + re.findall(r"(?:^    .*\n)+", plain, re.M)


def inline(name):
    """Every piece of code between backticks, which may be broken over two lines."""
    plain = re.sub(r"^```.*?^```$", "", text_of(name), flags=re.M | re.S)
    return [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", plain)]


def commands(program, texts):
    """The command lines of a program in texts, as words, with continued lines joined."""
    for line in "\n".join(texts).replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|)\s", line.strip()):
            if part.startswith(f"{program} "):
                yield shlex.split(part, comments=True)[1:]


@documents
def test_relative_links_resolve(name):
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(name))
    inside = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in inside if not (NAMES[name].parent / link).exists()] == []


def test_every_page_is_linked_from_another():
    linked = {
        (NAMES[name].parent / link.partition("#")[0]).resolve()
        for name in NAMES
        for link in re.findall(r"\]\(([^)\s:]+)\)", text_of(name))
    }
    assert [name for name, path in NAMES.items() if name != "README.md" and path not in linked] == []


@pages
def test_a_page_is_short(name):
    lines = text_of(name).splitlines()
    prose = [line for line in lines if not line.startswith("|")]
    assert lines[0].startswith("# ") and len(prose) < 80


@documents
def test_verbs_and_options_exist(name):
    for verb, *words in commands("mstclipiqa", blocks(name) + inline(name)):
        if verb.startswith("-") or verb.isupper():
            continue
        assert verb in main.commands, f"mstclipiqa {verb}"
        known = {option for parameter in main.commands[verb].params for option in parameter.opts} | {"--help"}
        shown = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert shown <= known, f"mstclipiqa {verb} {' '.join(sorted(shown - known))}"


@documents
def test_commands_of_blocks_are_accepted(name):
    """With all that is required, and values of their type; files need not be there."""
    for verb, *words in commands("mstclipiqa", blocks(name)):
        if verb.startswith("-") or verb.isupper() or {"...", "--help"} & set(words):
            continue
        try:
            main.commands[verb].make_context(verb, list(words)).close()
        except click.UsageError as error:
            assert "does not exist" in error.format_message(), f"mstclipiqa {verb}: {error.format_message()}"


@documents
def test_snakemake_is_given_targets_and_keys_that_exist(name):
    sources = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow" / "rules").glob("*.smk")]
    rules = {rule for path in sources for rule in re.findall(r"^\s*rule (\w+):", path.read_text("utf-8"), re.M)}
    for words in commands("snakemake", blocks(name) + inline(name)):
        values = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
        assert set(values) <= KEYS, f"snakemake --config {' '.join(values)}"
        for protocol in yaml.safe_load(values.get("protocols", "[]")):
            get_protocol(protocol)
        # what stands alone, or after an option without a value, is a target
        options = ("--cores", "--configfile", "--profile", "--workflow-profile", "--quiet", "--rerun-triggers", "--sdm")
        targets = [word for before, word in zip(["", *words], words, strict=False) if before not in options]
        assert {word for word in targets if re.fullmatch(r"[a-z_]+", word)} <= rules, f"snakemake {' '.join(words)}"


@documents
def test_files_exist(name):
    """Those of the repository; a name with a star, a brace or a word in capitals is no file's."""
    pattern = r"(?<![\w/.])(?:config|docs|mstclipiqa|profiles|speed|tests|workflow)/[\w./{},*<>-]*\w"
    shown = {file for piece in blocks(name) + inline(name) for file in re.findall(pattern, piece)} - ADDED["files"]
    shown = {file for file in shown if not re.search(r"[*<>{},]|\b[A-Z]+\b", file.replace("README", ""))}
    assert sorted(file for file in shown if not (REPOSITORY / file).exists()) == []


@documents
def test_recipes_variants_and_benchmarks_of_configurations_exist(name):
    """In YAML blocks, in `--variant` and `--recipe` of commands, and in the paths of predictions files."""
    used = {"benchmarks": set(), "recipes": set(), "variants": set()}
    for language, content in fenced(name):
        if language == "yaml":
            document = yaml.safe_load(content)
            for grid in (document, *document.get("also", [])):
                for key in used:
                    used[key] |= set(grid.get(key, []))
    for path in re.findall(r"([\w-]+)/runs/\w+/(\w+)/([\w-]+)\.parquet", "\n".join(blocks(name) + inline(name))):
        for key, value in zip(used, path, strict=True):
            used[key].add(value)
    for words in commands("mstclipiqa", blocks(name) + inline(name)):
        used["variants"] |= {value for option, value in zip(words, words[1:], strict=False) if option == "--variant"}
    assert used["benchmarks"] <= set(BENCHMARKS) | ADDED["benchmarks"]
    assert used["recipes"] <= RECIPES
    assert used["variants"] <= set(VARIANTS) | ADDED["variants"]


@documents
def test_named_variants_and_protocols_exist(name):
    """Words between backticks that look like one."""
    words = set(inline(name))
    for word in words:
        if PROTOCOL_LIKE.fullmatch(word) and word not in ADDED["protocols"]:
            try:
                get_protocol(word)
            except InputError as error:
                pytest.fail(str(error))
    variants = {
        word for word in words if re.fullmatch(r"(mst-clipiqa|mstfe)(-[a-z0-9]+)?|[a-z-]+-(only|star|pool|gate)", word)
    }
    assert variants <= set(VARIANTS) | ADDED["variants"]


@documents
def test_python_is_whole_and_imports_what_exists(name):
    for language, content in fenced(name):
        if language != "python":
            continue
        # an entry of a tuple or of a mapping, as in PROTOCOLS and VARIANTS
        entry = content.rstrip().endswith(",")
        tree = ast.parse(
            f"({{{content}}})" if entry and content.startswith('"') else f"({content})" if entry else content
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "mstclipiqa":
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_every_selection_of_a_protocol_is_explained():
    explained = set(inline("docs/add-a-protocol.md"))
    assert {protocol.selection for protocol in PROTOCOLS} <= explained


# The glossary


def glossary():
    """(term, meaning) of every row."""
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text_of("docs/glossary.md"), re.M)[1:]


def test_the_glossary_is_alphabetical_with_a_sentence_each():
    terms = [term for term, _ in glossary()]
    assert terms == sorted(terms, key=lambda term: re.sub(r"\W", " ", term.casefold()))
    assert len(set(terms)) == len(terms)
    for term, meaning in glossary():
        assert meaning.endswith(".") and not re.search(r"\.\s", meaning), term


def test_terms_that_the_readme_stresses_are_in_the_glossary():
    assert set(re.findall(r"\*\*([^*]+)\*\*", text_of("README.md"))) <= {term for term, _ in glossary()}


def test_roles_selections_and_targets_are_in_the_glossary():
    meanings = " ".join(meaning for _, meaning in glossary())
    for word in (*TARGETS, *LEVELS, TRAIN, VAL, TEST):
        assert word in meanings, word
