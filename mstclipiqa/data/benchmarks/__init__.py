"""The benchmarks: the paper's five and others. A module here that defines BENCHMARK registers itself by being there."""

import importlib
import pkgutil
from collections.abc import Collection

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks.benchmark import Benchmark

_modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]

#: Benchmark by name, e.g. BENCHMARKS["agiqa-3k"].
BENCHMARKS: dict[str, Benchmark] = {}
for _module in _modules:
    if _found := getattr(_module, "BENCHMARK", None):
        if _found.name in BENCHMARKS:
            raise InputError(
                f"{_module.__file__}: another module has the benchmark {_found.name} too; give one another name"
            )
        BENCHMARKS[_found.name] = _found

#: The paper's five.
OF_PAPER = ("agiqa-1k", "agiqa-3k", "aigciqa2023", "aigiqa-20k", "pku-aigiqa-4k")

__all__ = ["BENCHMARKS", "OF_PAPER", "TARGETS", "Benchmark", "get_benchmark", "has_prompts", "told_of"]


def told_of(selected: Collection[str]) -> list[str]:
    """The benchmarks that the results of a suite tell of, present or absent: the paper's, and those selected."""
    return [name for name in BENCHMARKS if name in OF_PAPER or name in selected]


def has_prompts(name: str) -> bool:
    """Whether the images of a benchmark have prompts; those of one that is not known are taken to."""
    return name not in BENCHMARKS or BENCHMARKS[name].prompted


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`. Raises InputError naming the known ones."""
    if name not in BENCHMARKS:
        raise InputError(f"unknown benchmark {name!r}; known: {', '.join(sorted(BENCHMARKS))}")
    return BENCHMARKS[name]
