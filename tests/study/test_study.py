"""From a configuration to the list of jobs, and what is missing on the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from encoder_families import write_model
from layouts import ALIGNED

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files, write_json
from mstclipiqa.base.names import MODELS
from mstclipiqa.data.benchmarks import BENCHMARKS, OF_PAPER
from mstclipiqa.encoders.architectures import embedding_size
from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.study.jobs import Job, protocols_of
from mstclipiqa.study.study import Study, describe_folder

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config"
RECIPES = CONFIG / "recipes"

#: How many targets each benchmark was rated for (facts of the benchmarks, not of the code).
TARGETS = {"agiqa-1k": 1, "agiqa-3k": 2, "aigciqa2023": 3, "aigiqa-20k": 1, "pku-aigiqa-4k": 3}


def study(config: str = "reduced.yaml", **changes: object) -> Study:
    return Study(read_yaml(CONFIG / config) | {"also": []} | changes, RECIPES)


def refusal(**changes: object) -> str:
    with pytest.raises(InputError) as error:
        study(**changes)
    assert "\n" not in str(error.value)
    return str(error.value)


def make_folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_module_that_snakemake_reads_imports_no_torch():
    code = "import sys, mstclipiqa.study.study; sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_default_suite_leads_with_the_real_benchmark_and_trains_one_model_on_each_drawn_one():
    default = study("config.yaml", also=read_yaml(CONFIG / "config.yaml")["also"])
    assert default.drawn and default.suite == "default"
    assert sorted(default.benchmarks) == sorted(TARGETS)
    assert default.absent == {}
    assert len(default.jobs) == len(set(default.jobs))
    real = {(job.target, job.variant) for job in default.jobs if job.benchmark == "agiqa-3k"}
    assert real > {(target, variant) for target in ("quality", "correspondence") for variant in MODELS}
    drawn = [job for job in default.jobs if job.benchmark != "agiqa-3k"]
    assert [(job.benchmark, job.target) for job in drawn] == [(name, "quality") for name in default.drawn_benchmarks]


def test_further_grids_add_jobs_once():
    grids = [
        {"benchmarks": ["agiqa-3k"], "recipes": ["converged", "appendix"], "variants": ["mst-clipiqa", "mlp"]},
        {"benchmarks": ["agiqa-1k"], "recipes": ["appendix"], "variants": ["mstfe-1"]},
    ]
    wide = study(recipes=["converged"], also=grids)
    added = set(wide.jobs) - set(study(recipes=["converged"]).jobs)
    assert len(wide.jobs) == 20 + len(added)
    assert {(job.benchmark, job.recipe, job.variant) for job in added} == {
        ("agiqa-3k", "converged", "mlp"), ("agiqa-3k", "appendix", "mst-clipiqa"), ("agiqa-3k", "appendix", "mlp"),
        ("agiqa-1k", "appendix", "mstfe-1"),
    }  # fmt: skip
    assert list(wide.recipes) == ["converged", "appendix"]
    assert wide.variants == ["mst-clipiqa", "mst-clipiqa-star", "mlp", "mstfe-1"]
    assert wide.with_two_towers == ["appendix"]
    assert wide.encoders("agiqa-3k") == ["coarse", "fine", "retokenised"]
    assert wide.encoders("aigiqa-20k") == ["coarse", "fine"]
    assert wide.views == {(name, "appendix"): ["coarse", "retokenised"] for name in ("agiqa-3k", "agiqa-1k")}
    assert wide.probed == ["converged"]


def test_a_grid_may_be_of_some_targets():
    grid = {"benchmarks": ["agiqa-1k", "agiqa-3k"], "targets": ["correspondence"], "recipes": ["converged"]}
    chosen = study(also=[grid | {"variants": ["mlp"]}])
    assert [job for job in chosen.jobs if job.variant == "mlp"] == [
        Job("agiqa-3k", "correspondence", "converged", "mlp")
    ]


def test_a_grid_may_be_of_some_protocols():
    """A job that several grids ask for is run under the protocols of all of them, in the configuration's order."""
    grid = {"benchmarks": ["agiqa-3k"], "targets": ["quality"], "recipes": ["converged"]}
    first = grid | {"variants": ["mlp", "fine-only"], "protocols": ["grouped2"]}
    second = grid | {"variants": ["mlp"], "protocols": ["random1"]}
    chosen = study(also=[first, second], recipes=["converged"], protocols=["random1", "lab-seed1", "grouped2"])
    asked = {job.variant: protocols_of(chosen.config, job) for job in chosen.jobs if job.benchmark == "agiqa-3k"}
    assert asked == {
        "mst-clipiqa": ["random1", "lab-seed1", "grouped2"], "mst-clipiqa-star": ["random1", "lab-seed1", "grouped2"],
        "mlp": ["random1", "grouped2"], "fine-only": ["grouped2"],
    }  # fmt: skip
    assert "protocol 'released' is none of the suite's" in refusal(also=[first | {"protocols": ["released"]}])


def test_the_main_grid_may_be_of_some_benchmarks():
    """The others train what a further grid says; the controls train on those of the main grid alone."""
    also = [{"benchmarks": ["agiqa-1k"], "recipes": ["converged"], "variants": ["mlp"]}]
    chosen = study(
        benchmarks=["agiqa-1k", "agiqa-3k", "aigciqa2023"], main=["agiqa-3k"], recipes=["converged"], also=also
    )
    asked = {(job.benchmark, job.target, job.variant) for job in chosen.jobs}
    models = {("agiqa-3k", target, name) for target in ("quality", "correspondence") for name in MODELS}
    assert asked == models | {("agiqa-1k", "quality", "mlp")}
    assert protocols_of(chosen.config, Job("agiqa-1k", "quality", "converged", "mst-clipiqa")) == []
    assert chosen.probed_benchmark == chosen.curved[0] == "agiqa-3k"
    assert {job.benchmark for job in chosen.attended} == {"agiqa-3k"}
    assert chosen.transferred == []
    assert "main: 'pku-aigiqa-4k' is none of the benchmarks" in refusal(benchmarks=["agiqa-3k"], main=["pku-aigiqa-4k"])


def test_models_are_taken_apart_on_every_benchmark_that_rates_quality():
    chosen = study(benchmarks=["agiqa-3k", "agiqa-1k"], recipes=["converged"], dissect=["converged"])
    assert chosen.dissected == [("agiqa-3k", "converged"), ("agiqa-1k", "converged")]
    assert "agiqa-1k/dissection/converged/skipping.parquet" in chosen.outputs
    assert study().dissected == []


def test_attention_is_kept_of_real_benchmarks_or_of_the_first_drawn_one():
    default = study("config.yaml")
    star = {"recipe": "converged", "variant": "mst-clipiqa-star"}
    assert default.attended == [Job("agiqa-3k", target, **star) for target in ("quality", "correspondence")]
    assert "agiqa-3k/attention/quality/converged.parquet" in default.controls
    assert [(job.benchmark, job.recipe) for job in study().attended] == [("agiqa-1k", "released_code")]
    assert study(variants=["mst-clipiqa"]).attended == []


def test_pictures_are_of_drawn_images_and_of_those_whose_licence_allows_it(tmp_path):
    root = str(make_folders(tmp_path, "agiqa-3k", "aigciqa2023"))
    real = study(draw=None, data_root=root, benchmarks=["agiqa-3k", "aigciqa2023"])
    assert real.pictured == ["agiqa-3k"]
    assert study(benchmarks=["aigciqa2023"]).pictured == ["aigciqa2023"]
    assert "agiqa-3k" not in study("config.yaml").pictured  # from its pack


def test_a_grid_of_unselected_benchmarks_adds_nothing_and_of_unknown_ones_is_refused():
    grid = {"benchmarks": ["agiqa-3k"], "recipes": ["released_code"], "variants": ["mlp"]}
    assert not [job for job in study(benchmarks=["agiqa-1k"], also=[grid]).jobs if job.variant == "mlp"]
    assert "unknown benchmark 'koniq'" in refusal(also=[grid | {"benchmarks": ["koniq"]}])


@pytest.mark.parametrize(
    ("recipe", "variant", "needed"),
    [
        ("appendix", "mst-clipiqa", "retokenised"),
        ("released_code", "twin", "twin"),
        ("appendix", "twin", "twin"),
        ("released_code", "twin-fine", "twin-fine"),
    ],
)
def test_what_feeds_the_second_stream_is_to_be_configured(recipe, variant, needed):
    encoders = {name: {"model": "mst-small-32", "weights": "embedded"} for name in ("coarse", "fine")}
    assert f"{variant} under {recipe} needs one called {needed}" in refusal(
        recipes=[recipe], variants=[variant], encoders=encoders
    )
    chosen = study(recipes=[recipe], variants=[variant], encoders=encoders | {needed: encoders["fine"]})
    assert chosen.streams(recipe, variant) == ("fine" if variant == "twin-fine" else "coarse", needed)
    assert {*chosen.streams(recipe, variant)} <= {*chosen.encoders("agiqa-3k")}


# Encoders that are no pair of CLIPs

TIMM, CLIP = "timm:resnet18", "ViT-B-32"


def encoders(**models: str) -> dict[str, dict[str, str]]:
    return {role: {"model": model, "weights": "random:1"} for role, model in models.items()}


def test_a_text_encoder_has_a_text_tower():
    said = refusal(encoders=encoders(coarse=TIMM, fine=CLIP))
    assert "text_encoder: coarse is timm:resnet18, which has no text tower; describe an encoder `text`" in said


def test_streams_have_one_size_as_far_as_names_say_it():
    said = refusal(encoders=encoders(coarse=CLIP, fine="mst-small-16"))
    assert "coarse (ViT-B-32) gives 512 numbers an image and fine (mst-small-16) 256" in said
    study(encoders=encoders(coarse=CLIP, fine=TIMM))


def test_variants_of_any_number_look_at_the_streams_that_are_named():
    """Of any size, and every benchmark has their features, for ridge."""
    known = encoders(coarse=CLIP, fine=CLIP, third="mst-small-16", fourth=TIMM)
    named = ["coarse", "fine", "third", "fourth"]
    chosen = study(encoders=known, streams=named, variants=["mst-clipiqa", "streams-gate"])
    assert chosen.streams("released_code", "streams-gate") == tuple(named)
    assert chosen.streams("released_code", "mst-clipiqa") == ("coarse", "fine")
    assert chosen.encoders("agiqa-3k") == chosen.packable("agiqa-3k") == named
    assert study(encoders=known, streams=named).encoders("agiqa-3k") == named
    files = chosen.training_files("agiqa-3k", "released_code", "streams-gate")
    assert [files[name] for name in ("fine", "further-3", "further-4")] == [
        f"agiqa-3k/features/{name}.safetensors" for name in named[1:]
    ]
    assert not any("streams-gate" in head for head in chosen.heads) and chosen.heads
    assert "fourth is looked at by nothing; name it under streams" in refusal(encoders=known, streams=named[:3])


@pytest.mark.parametrize("name", ["prompts", "statistics", "two-words", "Third", ""])
def test_an_encoder_has_no_name_of_another_file(name):
    assert "encoders" in refusal(encoders=encoders(**{"coarse": CLIP, "fine": CLIP, name: CLIP}))


def test_a_backbone_rules_out_what_reads_level_texts_and_what_follows_it():
    pair = encoders(coarse=TIMM, fine=TIMM, text=CLIP)
    said = refusal(encoders=pair, text_encoder="text", variants=["mlp", "mst-clipiqa-star", "mstfe-1"])
    assert "variants: mlp, mstfe-1: the head compares with level texts, and coarse (timm:resnet18) has no" in said
    rest = study(encoders=pair, text_encoder="text", variants=["star-no-prompt", "mst-clipiqa-star", "ma-agiqa-gate"])
    assert {name for name, variant in VARIANTS.items() if not variant.reads_levels} == set(VARIANTS) - set(
        rest.ruled_out
    )
    assert rest.encoders("agiqa-3k") == ["coarse", "fine", "text"], "the text encoder's images, for zero-shot scores"
    assert (rest.probed, rest.curved, rest.transferred) == ([], None, [])


def test_a_fine_backbone_rules_out_two_towers_alone():
    pair = encoders(coarse=CLIP, fine=TIMM)
    assert list(study(encoders=pair).ruled_out) == ["mstfe-1"]
    assert "reads level texts by the text tower of fine, and timm:resnet18 has none" in refusal(
        encoders=pair, variants=["mstfe-1"]
    )


def test_level_texts_are_of_the_streams_size():
    pair = encoders(coarse="mst-small-32", fine="mst-small-16", text=CLIP)
    said = refusal(encoders=pair, text_encoder="text")
    assert "those of text (ViT-B-32) have 512 numbers, the features of coarse (mst-small-32) 256" in said


def test_a_folder_says_the_size_of_its_model(tmp_path):
    folder = write_model(tmp_path / "siglip", "siglip")
    assert embedding_size(folder) == 96
    assert "gives 96 numbers an image" in refusal(encoders=encoders(coarse=folder, fine=CLIP))
    assert embedding_size("no-such-model") is None
    assert f"no model is described by {tmp_path / 'open_clip_config.json'}" in refusal(
        encoders=encoders(coarse=f"local-dir:{tmp_path}", fine=CLIP)
    )


def test_jobs_are_the_product_of_what_is_selected():
    small = study(benchmarks=["aigciqa2023", "agiqa-1k"], recipes=["main_text"], variants=["mst-clipiqa-star"])
    rated = [
        ("aigciqa2023", "quality"),
        ("aigciqa2023", "authenticity"),
        ("aigciqa2023", "correspondence"),
        ("agiqa-1k", "quality"),
    ]
    assert small.jobs == [Job(*pair, "main_text", "mst-clipiqa-star") for pair in rated]
    assert list(small.recipes) == ["main_text"] and small.recipes["main_text"].title == "Main text"


def test_job_path_is_the_one_of_the_workflow():
    job = Job("agiqa-3k", "quality", "released_code", "mst-clipiqa")
    assert job.path == "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
    paths = [job.path for job in study().jobs]
    assert len(set(paths)) == len(paths)


def test_what_is_not_selected_is_absent_with_that_reason():
    absent = study(benchmarks=["agiqa-1k"]).absent
    assert set(absent) == set(OF_PAPER) - {"agiqa-1k"}
    assert set(absent.values()) == {"not selected in this configuration"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benchmarks": ["agiqa-3k", "koniq"]}, ["koniq", "agiqa-3k", "pku-aigiqa-4k"]),
        ({"variants": ["clip"]}, ["clip", "mst-clipiqa, mst-clipiqa-star"]),
        ({"protocols": ["lab-seed1", "random-walk"]}, ["random-walk", "lab-seedN", "groupedN"]),
        ({"protocols": ["grouped"]}, ["'grouped'"]),
        ({"protocols": ["grouped0"]}, ["grouped0"]),
        ({"protocols": [f"lab-seed{2**32}"]}, [f"lab-seed{2**32}"]),
        ({"recipes": ["blog_post"]}, ["blog_post.yaml", "no such file"]),
        ({"text_encoder": "middle"}, ["text_encoder", "middle", "coarse, fine"]),
    ],
)
def test_unknown_name_says_what_is_known(changes: dict, words: list[str]):
    message = refusal(**changes)
    assert [word for word in words if word not in message] == [], message


def test_data_root_that_does_not_exist_stops(tmp_path: Path):
    for when in ("stop", "skip"):
        message = refusal(draw=None, data_root=str(tmp_path / "nowhere"), when_missing=when)
        assert message.startswith("configuration: data_root: ") and str(tmp_path / "nowhere") in message


def test_drawn_suite_needs_no_data_root(tmp_path: Path):
    assert len(study(data_root=str(tmp_path / "nowhere")).jobs) == 20


def test_missing_benchmark_stops_where_it_is_told_to(tmp_path: Path):
    root = make_folders(tmp_path, "agiqa-3k")
    message = refusal(draw=None, data_root=str(root), benchmarks=["agiqa-3k", "agiqa-1k"], when_missing="stop")
    assert str(root / "agiqa-1k") in message and "AGIQA-1K" in message and "when_missing: skip" in message


def test_missing_benchmark_is_skipped_with_its_reason(tmp_path: Path):
    root = make_folders(tmp_path, "agiqa-3k", "pku-aigiqa-4k")
    skipping = study("paper.yaml", data_root=str(root), benchmarks=["agiqa-1k", "agiqa-3k", "aigciqa2023"])
    assert skipping.benchmarks == ["agiqa-3k"]
    assert {job.benchmark for job in skipping.jobs} == {"agiqa-3k"}
    assert (
        skipping.absent.items()
        >= {
            "agiqa-1k": f"no folder {root / 'agiqa-1k'}",
            "aigciqa2023": f"no folder {root / 'aigciqa2023'}",
            "aigiqa-20k": "not selected in this configuration",
            "pku-aigiqa-4k": "not selected in this configuration",
        }.items()
    )


def test_study_of_nothing_stops(tmp_path: Path):
    make_folders(tmp_path, "koniq")
    message = refusal(draw=None, data_root=str(tmp_path), benchmarks=["agiqa-3k"], when_missing="skip")
    assert str(tmp_path) in message and "agiqa-3k" in message


def test_file_in_place_of_a_benchmark_folder_is_no_benchmark(tmp_path: Path):
    make_folders(tmp_path, "agiqa-1k")
    (tmp_path / "agiqa-3k").write_text("not a folder")
    skipping = study("paper.yaml", data_root=str(tmp_path))
    assert skipping.benchmarks == ["agiqa-1k"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = make_folders(tmp_path, "agiqa-3k/images") / "agiqa-3k"
    (root / "data.csv").write_text("name,prompt\n")
    (root / "images" / "a.png").write_bytes(b"abc")
    return root


def later(path: Path) -> None:
    """Move a file's time of change on, as an editor does however coarse the clock."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def rewrite(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"xyz")
    later(folder / "images" / "a.png")


CHANGES = {
    "changed, same size": rewrite,
    "grown": lambda folder: (folder / "data.csv").write_text("name,prompt\nb.png,boat\n"),
    "added": lambda folder: (folder / "images" / "b.png").write_bytes(b"abc"),
    "added below": lambda folder: make_folders(folder, "more").joinpath("more", "b.png").write_bytes(b"abc"),
    "removed": lambda folder: (folder / "images" / "a.png").unlink(),
    "renamed": lambda folder: (folder / "images" / "a.png").rename(folder / "images" / "b.png"),
    "moved": lambda folder: (folder / "images" / "a.png").rename(folder / "a.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_description_moves_with_every_change(change: str, folder: Path):
    before = describe_folder(folder)
    CHANGES[change](folder)
    assert describe_folder(folder) != before


def test_description_stays_where_nothing_changed(folder: Path, tmp_path: Path):
    before = describe_folder(folder)
    (folder / "images" / "a.png").read_bytes()
    make_folders(folder, "empty")
    assert describe_folder(folder) == before
    moved = folder.rename(tmp_path / "moved")
    assert describe_folder(moved) == before, "the same files elsewhere"


@pytest.mark.parametrize("link", ["images", "a.png"])
def test_description_follows_the_links_that_the_readers_follow(link: str, folder: Path, tmp_path: Path):
    """Images are often kept elsewhere and linked into place."""
    original = (folder / "images").rename(tmp_path / "elsewhere")
    if link == "images":
        (folder / "images").symlink_to(original)
    else:
        (folder / "images").mkdir()
        (folder / "images" / "a.png").symlink_to(original / "a.png")
    assert folder / "images" / "a.png" in list_files(folder)
    before = describe_folder(folder)
    (original / "a.png").write_bytes(b"another image")
    assert describe_folder(folder) != before


def test_description_ends_on_a_link_back_up(folder: Path):
    before = describe_folder(folder)
    (folder / "images" / "up").symlink_to(folder)
    assert describe_folder(folder) == before


def test_description_ignores_what_no_reader_sees(folder: Path):
    before = describe_folder(folder)
    (folder / ".DS_Store").write_text("a file manager's")
    make_folders(folder, ".thumbnails").joinpath(".thumbnails", "a.png").write_bytes(b"a")
    assert describe_folder(folder) == before


def test_what_is_measured_beside_the_grid_follows_what_benchmarks_rate(monkeypatch):
    """A benchmark of correspondence alone is trained on, and neither probed, followed nor carried over."""
    monkeypatch.setitem(BENCHMARKS, "aligned", ALIGNED)
    alone = study(benchmarks=["aligned"])
    assert {job.target for job in alone.jobs} == {"correspondence"}
    assert (alone.rated, alone.probed, alone.curved, alone.transferred) == ([], [], None, [])
    assert not any("probe/" in path for path in alone.outputs) and "transfer.parquet" not in alone.controls
    first = study(benchmarks=["aligned", "agiqa-1k", "aigciqa2023"])
    assert first.rated == first.transferred == ["agiqa-1k", "aigciqa2023"]
    assert first.probed and first.curved[0] == "agiqa-1k"


def test_no_model_is_carried_over_between_real_and_drawn_benchmarks():
    wide = study("config.yaml", main=sorted(TARGETS))  # AGIQA-3K is from its pack
    assert wide.packed == ["agiqa-3k"]
    assert wide.transferred == [name for name in wide.rated if name != "agiqa-3k"]
    two = ["agiqa-3k", "agiqa-1k"]
    assert study("config.yaml", benchmarks=two, main=two).transferred == []


def test_the_probed_model_is_of_the_first_benchmark_with_images():
    """Scenes are encoded for it, and who has a pack need have no encoder."""
    default = study("config.yaml")
    assert default.packed == default.main == ["agiqa-3k"] and default.curved[0] == "agiqa-3k"
    assert default.probed == []
    assert study("config.yaml", main=["agiqa-3k", "aigciqa2023"]).probed_benchmark == "aigciqa2023"


def test_no_transfer_without_the_fine_encoder_of_its_recipe():
    """The two models that are carried over need it, whatever variants are trained."""
    encoders = read_yaml(CONFIG / "reduced.yaml")["encoders"]
    encoders = {name: encoders[name] for name in ("coarse", "fine")} | {"twin": encoders["coarse"]}
    alone = study(encoders=encoders, variants=["twin"], recipes=["appendix"])
    assert alone.jobs and alone.rated and not alone.transferred


def test_recipes_that_train_the_encoders_take_no_part_in_what_is_made_of_features():
    also = [{"benchmarks": ["agiqa-3k"], "recipes": ["adapted_last_block"], "variants": ["mst-clipiqa"]}]
    tuned, plain = study(also=also), study(also=[])
    assert tuned.adapted == ["adapted_last_block"] and plain.adapted == []
    assert [job for job in tuned.jobs if job not in plain.jobs] == [
        Job("agiqa-3k", target, "adapted_last_block", "mst-clipiqa") for target in ("quality", "correspondence")
    ]
    kept = ("curved", "transferred", "probed", "heads", "views", "benchmarks")
    assert [getattr(tuned, name) for name in kept] == [getattr(plain, name) for name in kept]
    assert tuned.encoders("agiqa-3k") == plain.encoders("agiqa-3k")


# Entered methods


def write_card(folder: Path, **changes: object) -> str:
    """The card of an entry, which is all that planning reads."""
    card = {
        **{"name": "mine", "method": "Mine", "benchmark": "agiqa-3k", "target": "quality", "lower_is_better": False},
        **dict.fromkeys(("labels", "images"), "0" * 64),
        **dict.fromkeys(("paper", "code", "licence", "training_data", "saw_test_images"), "not stated"),
    }
    folder.mkdir()
    write_json(folder / "card.yaml", card | changes)  # JSON is YAML
    return str(folder)


def test_an_entry_is_an_output_beside_the_jobs(tmp_path: Path):
    entered = study(entries=[write_card(tmp_path / "one")])
    path = "agiqa-3k/runs/quality/entered/mine.parquet"
    assert [entry.path for entry in entered.entries] == [path]
    assert set(entered.outputs) - set(study().outputs) == {path}
    assert entered.jobs == study().jobs and entered.variants == study().variants


def test_an_entry_of_an_absent_benchmark_takes_no_part(tmp_path: Path):
    root = make_folders(tmp_path / "data", "agiqa-1k")
    entries = [write_card(tmp_path / "one")]
    some = study(draw=None, data_root=str(root), when_missing="skip", entries=entries)
    assert some.benchmarks == ["agiqa-1k"] and some.entries == []


def test_entries_that_cannot_be_are_one_line(tmp_path: Path):
    entry = write_card(tmp_path / "one")
    assert "one is of agiqa-3k, which is none of the benchmarks" in refusal(benchmarks=["agiqa-1k"], entries=[entry])
    again = write_card(tmp_path / "two")
    assert "two: mine is entered for agiqa-3k, quality in" in refusal(entries=[entry, again])
    assert "is a variant of this project" in refusal(entries=[write_card(tmp_path / "three", name="mlp")])
    assert "nowhere/card.yaml: no such file" in refusal(entries=["nowhere"])


def test_translations_are_of_benchmarks_that_are_encoded_here(tmp_path: Path):
    (tmp_path / "zh.csv").write_text("prompt,translation\n")
    given = {"agiqa-3k": str(tmp_path / "zh.csv")}
    translated = study(variants=["mst-clipiqa", "star-translated"], benchmarks=["agiqa-3k"], translations=given)
    assert translated.translations == given and study().translations == {}
    assert "no file nowhere.csv" in refusal(translations={"agiqa-3k": "nowhere.csv"})
    assert "agiqa-2k is none of the benchmarks" in refusal(translations={"agiqa-2k": str(tmp_path / "zh.csv")})
    assert "comes from a pack" in refusal(translations=given, packs={"agiqa-3k": "shipped"})
    without = refusal(variants=["star-translated"], translations=given)
    assert "star-translated needs the prompts of agiqa-1k in another language" in without
