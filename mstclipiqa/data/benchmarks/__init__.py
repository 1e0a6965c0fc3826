"""The benchmarks: the paper's five and others. A module here that defines BENCHMARK registers itself by being there."""

import importlib
import pkgutil

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks.benchmark import Benchmark

_modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]

#: Benchmark by name, e.g. BENCHMARKS["agiqa-3k"].
BENCHMARKS: dict[str, Benchmark] = {
    module.BENCHMARK.name: module.BENCHMARK for module in _modules if hasattr(module, "BENCHMARK")
}

__all__ = ["BENCHMARKS", "TARGETS", "Benchmark", "get_benchmark"]


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`. Raises InputError naming the known ones."""
    if name not in BENCHMARKS:
        raise InputError(f"unknown benchmark {name!r}; known: {', '.join(sorted(BENCHMARKS))}")
    return BENCHMARKS[name]
