"""The training jobs of a configuration, and the protocols and seeds of each. Imports no torch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mstclipiqa.base.layout import RUNS
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks import get_benchmark


@dataclass(frozen=True)
class Job:
    """One training job: all (protocol, split, seed) runs of a benchmark x target x recipe x variant."""

    benchmark: str
    target: str
    recipe: str
    variant: str

    @property
    def path(self) -> str:
        """The job's predictions, relative to the results folder of the suite."""
        return RUNS.path.format_map(vars(self))


def list_grids(config: Mapping) -> list[Mapping]:
    """The main grid of a configuration, and the further ones: each is every target of its benchmarks x recipes x
    variants."""
    return [{**config, "benchmarks": config.get("main", config["benchmarks"])}, *config["also"]]


def list_jobs(config: Mapping, benchmarks: Collection[str]) -> list[Job]:
    """The training jobs that a configuration asks for on the present `benchmarks`, each once, in its order."""
    jobs = [
        Job(benchmark, target, recipe, variant)
        for grid in list_grids(config)
        for benchmark in grid["benchmarks"]
        if benchmark in benchmarks
        for target in get_benchmark(benchmark).targets
        if target in grid.get("targets", TARGETS)
        for recipe in grid["recipes"]
        for variant in grid["variants"]
    ]
    return list(dict.fromkeys(jobs))


def protocols_of(config: Mapping, job: Job) -> list[str]:
    """The protocols that a job is run under: those of all grids that ask for it, in the configuration's order."""
    asked = {
        protocol
        for grid in list_grids(config)
        if job.benchmark in grid["benchmarks"] and job.target in grid.get("targets", TARGETS)
        if job.recipe in grid["recipes"] and job.variant in grid["variants"]
        for protocol in grid.get("protocols", config["protocols"])
    }
    return [name for name in config["protocols"] if name in asked]


def seeds_of(config: Mapping, splits: int) -> list[int]:
    """The seeds that a protocol of so many splits is run with."""
    return config.get("split_seeds", config["seeds"]) if splits > 1 else config["seeds"]
