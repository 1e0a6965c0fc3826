"""What a configuration runs, and from what. Read by the Snakefile, so it imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from mstclipiqa.base.documents import CONFIG_SCHEMA, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest, list_files
from mstclipiqa.base.layout import (
    ATTENTION,
    BENCHMARK_TABLES,
    CLAIMS,
    CURVES,
    DISSECTION,
    EFFICIENCY,
    FEATURES,
    FINE_LEVELS,
    GATES,
    HEAD,
    LEVELS,
    PROMPTS,
    READOUT,
    STATISTICS,
    SUITE_TABLES,
    TRANSFER,
    VIEWS,
    ZERO_SHOT,
    training_files,
)
from mstclipiqa.base.names import ENTERED, MODELS, QUALITY
from mstclipiqa.data.benchmarks import get_benchmark, has_prompts, told_of
from mstclipiqa.data.pack_sources import is_missing, pack_file
from mstclipiqa.data.protocols import get_protocol
from mstclipiqa.encoders.architectures import embedding_size, has_text_tower
from mstclipiqa.entries.entry import Entry, check_names, read_entry
from mstclipiqa.model.recipes import load_recipe, single_changes
from mstclipiqa.model.variants import PAIR, TRANSLATED, TWO_TOWERS, VARIANTS, get_variant, stream_roles
from mstclipiqa.study.jobs import Job, list_grids, list_jobs
from mstclipiqa.study.refusals import refuse_adaptations, refuse_dissection, refuse_encoders, refuse_streams


class Study:
    """A configuration, checked: which benchmarks are present, why others are absent, and what is to be run.

    Raises InputError, which begins with the `source` of the configuration, where its schema refuses it, for an unknown
    benchmark, recipe, variant, protocol or text encoder, for an entry that cannot be read, for a data_root that does
    not exist, and for a missing benchmark where the configuration says `when_missing: stop`. So does a digest of
    recipes that is not `planned`.
    """

    def __init__(
        self,
        config: Mapping,
        recipes: Path | str,
        source: Path | str = "configuration",
        planned: str | None = None,
    ):
        validate(config, CONFIG_SCHEMA, source)
        try:
            self._resolve(config, Path(recipes))
            if planned and planned != self.recipes_digest:
                raise InputError(f"{recipes}: other values than this run was planned with; run the workflow again")
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    def _resolve(self, config: Mapping, recipes: Path) -> None:
        """Look up everything that the configuration names."""
        self.config = config
        self.suite: str = config["suite"]
        grids = list_grids(config)
        self.recipes = {name: load_recipe(recipes / f"{name}.yaml") for grid in grids for name in grid["recipes"]}
        self.variants = list(dict.fromkeys(name for grid in grids for name in grid["variants"]))
        for variant in self.variants:
            get_variant(variant)
        for protocol in config["protocols"]:
            get_protocol(protocol)
        if config["text_encoder"] not in config["encoders"]:
            raise InputError(
                f"text_encoder: {config['text_encoder']!r} is none of the encoders ({', '.join(config['encoders'])})"
            )
        refuse_streams(config)
        self.data_root = Path(config["data_root"])
        self.drawn: bool = config["draw"] is not None
        self.absent = self._find_absent()
        self.benchmarks = [name for name in config["benchmarks"] if name not in self.absent]
        if strange := [name for name in config.get("main", []) if name not in config["benchmarks"]]:
            raise InputError(f"main: {strange[0]!r} is none of the benchmarks; add it to them, or leave it out")
        for grid in config["also"]:
            for name in grid["benchmarks"]:
                get_benchmark(name)
            if strange := [name for name in grid.get("protocols", []) if name not in config["protocols"]]:
                raise InputError(f"also: protocol {strange[0]!r} is none of the suite's; add it to its protocols")
        self.jobs = list_jobs(config, self.benchmarks)
        self.translations = self._find_translations()
        self.entries = self._read_entries()
        for job in self.jobs:
            if job.benchmark in self.packed and self.recipes[job.recipe].needs_images:
                raise InputError(
                    f"packs: {job.benchmark} comes from a pack, which has no images for the recipe {job.recipe}; leave "
                    "that recipe out for it, or give its images"
                )
            for needed in self.streams(job.recipe, job.variant):
                if needed not in config["encoders"]:
                    raise InputError(
                        f"encoders: {job.variant} under {job.recipe} needs one called {needed}; describe it"
                    )
        refuse_encoders(self)
        refuse_adaptations(self)
        refuse_dissection(self)

    @property
    def adapted(self) -> list[str]:
        """The recipes that train the encoders too."""
        return [name for name, recipe in self.recipes.items() if recipe.adaptation]

    @property
    def sizes(self) -> Mapping[str, int | None]:
        """The numbers that each encoder of the configuration gives an image, as far as its name says it."""
        return {role: embedding_size(encoder["model"]) for role, encoder in self.config["encoders"].items()}

    @property
    def ruled_out(self) -> dict[str, str]:
        """Every variant that the encoders of the configuration rule out, and why: its head compares the streams with
        level texts, and there are none in their space."""
        models = {role: encoder["model"] for role, encoder in self.config["encoders"].items()}
        text = self.config["text_encoder"]
        coarse, texts = self.sizes["coarse"], self.sizes[text]

        def why(head: str) -> str | None:
            if not has_text_tower(models["coarse"]):
                return f"the head compares with level texts, and coarse ({models['coarse']}) has no text tower"
            if None not in (coarse, texts) and coarse != texts:
                return (
                    f"the head compares with level texts, and those of {text} ({models[text]}) have {texts} "
                    f"numbers, the features of coarse ({models['coarse']}) {coarse}"
                )
            if head == TWO_TOWERS and not has_text_tower(models["fine"]):
                return f"the head reads level texts by the text tower of fine, and {models['fine']} has none"
            return None

        reasons = {name: why(variant.head) for name, variant in VARIANTS.items() if variant.reads_levels}
        return {name: reason for name, reason in reasons.items() if reason}

    def _read_entries(self) -> list[Entry]:
        """The entries of methods that others scored, of benchmarks that take part."""
        if ENTERED in self.recipes:
            raise InputError(f"recipes: {ENTERED} names entered scores; call the recipe otherwise")
        entries = [read_entry(Path(folder)) for folder in self.config.get("entries", [])]
        check_names(entries)
        for entry in entries:
            if entry.benchmark not in self.config["benchmarks"]:
                raise InputError(
                    f"entries: {entry.folder} is of {entry.benchmark}, which is none of the benchmarks; add it, or "
                    "leave the entry out"
                )
        return [entry for entry in entries if entry.benchmark in self.benchmarks]

    def _find_translations(self) -> dict[str, str]:
        """The file of translated prompts of each benchmark that takes part and has one."""
        given: Mapping[str, str] = self.config.get("translations", {})
        for name, file in given.items():
            if name not in self.config["benchmarks"]:
                raise InputError(f"translations: {name} is none of the benchmarks; add it, or leave its file out")
            if name in self.packs:
                raise InputError(f"translations: {name} comes from a pack, which has none; give its images")
            if not Path(file).is_file():
                raise InputError(f"translations: {name}: no file {file}; give a CSV file of prompt and translation")
        for job in self.jobs:
            if get_variant(job.variant).prompt and not has_prompts(job.benchmark):
                raise InputError(
                    f"variants: {job.variant} reads prompts, and the images of {job.benchmark} have none; leave it out "
                    "for this benchmark (star-no-prompt has its head)"
                )
            if get_variant(job.variant).prompts == TRANSLATED and job.benchmark not in given:
                raise InputError(
                    f"variants: {job.variant} needs the prompts of {job.benchmark} in another language; name a file "
                    "under translations"
                )
        return {name: file for name, file in given.items() if name in self.benchmarks}

    @property
    def packs(self) -> Mapping[str, str]:
        """The source of the feature pack of each benchmark that is to come from one."""
        return self.config.get("packs", {})

    @property
    def packed(self) -> list[str]:
        """The benchmarks that take part whose features come from a pack: without images and encoders."""
        return [name for name in self.benchmarks if name in self.packs]

    @property
    def drawn_benchmarks(self) -> list[str]:
        """The benchmarks that take part and are drawn by the workflow."""
        return [name for name in self.benchmarks if self.drawn and name not in self.packs]

    @property
    def pictured(self) -> list[str]:
        """The benchmarks whose images the report shows some of: drawn ones, and those whose licence allows it."""
        apart = [name for name in self.benchmarks if name not in self.packed]
        return [name for name in apart if self.drawn or get_benchmark(name).open_images]

    @property
    def texts_packed(self) -> str | None:
        """The benchmark from whose pack the texts of levels and zero-shot rivals come: the first where no encoder is
        needed for any other; else None."""
        return self.packed[0] if self.packed and self.packed == self.benchmarks else None

    @property
    def recipes_digest(self) -> str:
        """A short digest of all recipes, by which a job knows that they are those that it was planned with."""
        return digest({name: recipe.digest for name, recipe in self.recipes.items()})[:16]

    def streams(self, recipe: str, variant: str) -> tuple[str, ...]:
        """The encoders of the configuration that a model's streams come from, f_c's first."""
        return get_variant(variant).encoders(self.recipes[recipe].fine_stream, self.config.get("streams", PAIR))

    @property
    def paired(self) -> list[str]:
        """The encoders that models of two streams look at, which have one embedding size."""
        jobs = [job for job in self.jobs if not get_variant(job.variant).many]
        return list(dict.fromkeys(name for job in jobs for name in self.streams(job.recipe, job.variant)))

    @property
    def _always(self) -> set[str]:
        """The encoders whose features every benchmark has: the pair, the streams that are named, and the one whose
        image features zero-shot scores need."""
        return {*PAIR, *self.config.get("streams", ()), self.config["text_encoder"]}

    def encoders(self, benchmark: str) -> list[str]:
        """The encoders of the configuration whose features of a benchmark are needed; the text encoder's, for zero-shot
        scores."""
        jobs = [job for job in self.jobs if job.benchmark == benchmark]
        used = {name for job in jobs for name in self.streams(job.recipe, job.variant)}
        return [name for name in self.config["encoders"] if name in {*self._always, *used}]

    def packable(self, benchmark: str) -> list[str]:
        """The encoders of a benchmark that a pack is to have: the pair, and those that some recipe trains on without
        augmented views, which are not packed."""
        plain = {
            name
            for job in self.jobs
            if job.benchmark == benchmark and not self.recipes[job.recipe].views
            for name in self.streams(job.recipe, job.variant)
        }
        return [name for name in self.encoders(benchmark) if name in {*self._always, *plain}]

    @property
    def views(self) -> dict[tuple[str, str], list[str]]:
        """By (benchmark, recipe), where the recipe trains on augmented views: the encoders that need them."""
        found: dict[tuple[str, str], list[str]] = {}
        for job in self.jobs:
            if self.recipes[job.recipe].views:
                needed = found.setdefault((job.benchmark, job.recipe), [])
                needed += [name for name in self.streams(job.recipe, job.variant) if name not in needed]
        return found

    @property
    def with_two_towers(self) -> list[str]:
        """The recipes some variant of which reads the level texts by the fine encoder's own text tower."""
        return list(dict.fromkeys(job.recipe for job in self.jobs if get_variant(job.variant).head == TWO_TOWERS))

    @property
    def main(self) -> list[str]:
        """The benchmarks of the main grid that take part."""
        return [name for name in list_grids(self.config)[0]["benchmarks"] if name in self.benchmarks]

    @property
    def rated(self) -> list[str]:
        """Those of the main grid whose quality was rated, which is what the probe, curves and transfer train on."""
        return [name for name in self.main if QUALITY in get_benchmark(name).targets]

    @property
    def probed_benchmark(self) -> str | None:
        """The benchmark that the probed model is trained on: the first of `rated` with images at hand, as scenes are
        encoded too, and a pack needs no encoder. None where the encoders rule the model out."""
        if MODELS[0] in self.ruled_out:
            return None
        return next((name for name in self.rated if name not in self.packed), None)

    @property
    def probed(self) -> list[str]:
        """The recipes of the main grid that train the configuration's own two encoders, as they are. None without a
        benchmark to train on."""
        return [
            name
            for name in self.config["recipes"]
            if self.probed_benchmark and self.recipes[name].fine_stream == "fine" and not self.recipes[name].views
        ]

    def training_files(self, benchmark: str, recipe: str, variant: str) -> dict[str, str]:
        """The files below the results folder that a model is trained from, by the option of `mstclipiqa train`."""
        encoders, views = self.streams(recipe, variant), bool(self.recipes[recipe].views)
        streams = dict(zip(stream_roles(len(encoders)), encoders, strict=True))
        return training_files(benchmark, recipe, streams, views, get_variant(variant).head == TWO_TOWERS)

    @property
    def dissected(self) -> list[tuple[str, str]]:
        """The (benchmark, recipe) whose trained models are taken apart."""
        told = [name for name in self.rated if has_prompts(name)]  # MST-CLIPIQA* is taken apart too
        return [(name, recipe) for name in told for recipe in self.config.get("dissect", [])]

    @property
    def attended(self) -> list[Job]:
        """The jobs of the model that reads the prompt whose attention is kept: under the first recipe of the main grid,
        of every real benchmark, or of the first drawn one where all are drawn."""
        real = [name for name in self.main if name not in self.drawn_benchmarks]
        chosen = real or self.main[:1]
        return [
            job
            for job in list_jobs({**self.config, "also": []}, chosen)
            if (job.recipe, job.variant) == (self.config["recipes"][0], MODELS[1])
        ]

    @property
    def curved(self) -> tuple[str, list[str]] | None:
        """The benchmark whose learning curves are drawn, and the recipes on cached features to draw them under, but for
        those that change one value of another.

        It is the first whose quality the paper's first model is trained on under the most recipes; None without any.
        """
        values = {name: recipe.values for name, recipe in self.recipes.items()}
        others = [*self.adapted, *(change.changed for change in single_changes(values))]
        jobs = [job for job in self.jobs if job.recipe not in others]
        followed = [job for job in jobs if (job.target, job.variant) == (QUALITY, MODELS[0])]
        recipes = {name: [job.recipe for job in followed if job.benchmark == name] for name in self.benchmarks}
        chosen = max(recipes, key=lambda name: len(recipes[name]))
        return (chosen, recipes[chosen]) if recipes[chosen] else None

    @property
    def transferred(self) -> list[str]:
        """The benchmarks that models are carried over between, under the last recipe of the main grid: never between
        real and drawn ones. None of one, or where the configuration lacks an encoder of that recipe."""
        there = self.config["encoders"].keys() >= {*self.streams(self.config["recipes"][-1], MODELS[0])}
        there = there and not self.ruled_out.keys() & set(MODELS)
        told = [name for name in self.rated if has_prompts(name)]  # both models are carried over
        real = [name for name in told if name not in self.drawn_benchmarks]
        carried = real if len(real) > 1 else [name for name in told if name not in real]
        return carried if there and len(carried) > 1 else []

    @property
    def heads(self) -> list[str]:
        """The trained heads that `snakemake heads` makes: the main grid's variants of two streams under its last
        recipe."""
        return [
            HEAD.path.format_map(vars(job))
            for job in self.jobs
            if job.recipe == self.config["recipes"][-1]
            and job.variant in self.config["variants"]
            and not get_variant(job.variant).many
        ]

    @property
    def outputs(self) -> list[str]:
        """Every file below the results folder that a suite has; `controls` are the others that its manifest names."""
        files = [entry.path for entry in SUITE_TABLES]
        for name in self.benchmarks:
            entries = (*BENCHMARK_TABLES, PROMPTS, *(() if name in self.packed else (STATISTICS,)))
            files += [entry.path.format(benchmark=name) for entry in entries]
            files += [FEATURES.path.format(benchmark=name, encoder=encoder) for encoder in self.encoders(name)]
        for (name, recipe), encoders in self.views.items():
            files += [VIEWS.path.format(benchmark=name, recipe=recipe, encoder=encoder) for encoder in encoders]
        files += [LEVELS.path.format(recipe=recipe) for recipe in self.recipes]
        files += [FINE_LEVELS.path.format(recipe=recipe) for recipe in self.with_two_towers]
        files += [job.path for job in self.jobs] + [entry.path for entry in self.entries]
        files += [
            entry.path.format(benchmark=name, recipe=recipe) for name, recipe in self.dissected for entry in DISSECTION
        ]
        return files + [entry.path.format(recipe=recipe) for recipe in self.probed for entry in (READOUT, GATES)]

    @property
    def controls(self) -> list[str]:
        """What is measured beside the runs, and the verdicts. A manifest is written without them too, as for a suite
        that is run by hand; verification then names what is missing."""
        files = [entry.path for entry in (ZERO_SHOT, EFFICIENCY, CLAIMS)]
        files += [CURVES.path] if self.curved else []
        files += [ATTENTION.path.format_map(vars(job)) for job in self.attended]
        return files + ([TRANSFER.path] if self.transferred else [])

    def _find_absent(self) -> dict[str, str]:
        """Every benchmark that takes no part, and why."""
        selected = self.config["benchmarks"]
        for name in (*selected, *self.packs):
            get_benchmark(name)
        absent = {name: "not selected in this configuration" for name in told_of(selected) if name not in selected}
        for name in (name for name in selected if name in self.packs):
            if is_missing(name, self.packs[name]):
                if self.config["when_missing"] == "stop":
                    raise InputError(
                        f"packs: {name}: no file {pack_file(name, self.packs[name])}; name its file or address, or set "
                        "when_missing: skip"
                    )
                absent[name] = f"no pack {self.packs[name]}"
        from_images = [name for name in selected if name not in self.packs]
        if self.drawn and from_images:
            return absent
        if from_images and not self.data_root.is_dir():
            raise InputError(
                f"data_root: {self.data_root} does not exist; set it to the folder that holds a folder per benchmark "
                "(`mstclipiqa doctor` says how to get them)"
            )
        for name in from_images:
            if not (self.data_root / name).is_dir():
                if self.config["when_missing"] == "stop":
                    raise InputError(
                        f"{self.data_root / name}: no such folder; put {get_benchmark(name).title} there "
                        "(`mstclipiqa doctor` says how to get it), or set when_missing: skip"
                    )
                absent[name] = f"no folder {self.data_root / name}"
        if absent.keys() >= set(selected):
            raise InputError(
                f"data_root: {self.data_root} holds none of {', '.join(selected)}, and there is no pack; see "
                "`mstclipiqa doctor`"
            )
        return absent


def describe_folder(root: Path) -> str:
    """A digest of a folder's files by path, size and time of change: it moves when any file does."""
    return digest([[path.relative_to(root).as_posix(), *_size_and_time(path)] for path in list_files(root)])


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
