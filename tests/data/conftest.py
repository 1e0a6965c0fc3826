from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from loopback import Server

from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.samples import check_labels, normalise_prompt


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture(scope="session")
def real_labels(shared_data: Path) -> Callable[[str], SimpleNamespace]:
    """Read and check the real label files of a benchmark, without its images; say what is in them.

    `mos` maps each target to (min, max, mean) over all rows read, rounded to the five digits in which the
    published facts are written down; `defects` maps what was found to how often.
    """

    def read(name: str) -> SimpleNamespace:
        benchmark = get_benchmark(name)
        labels = benchmark.read(shared_data / name)
        usable = check_labels(benchmark, labels)
        return SimpleNamespace(
            name=name,
            frame=labels.frame,
            usable=usable,
            rows=len(labels.frame),
            prompts=usable["prompt"].nunique(),
            groups=usable["prompt"].map(normalise_prompt).nunique(),
            images_per_prompt=labels.frame["prompt"].value_counts().value_counts().to_dict(),
            generators=labels.frame["generator"].value_counts().to_dict(),
            mos={
                target: tuple(round(float(value), 5) for value in labels.frame[target].agg(["min", "max", "mean"]))
                for target in benchmark.targets
            },
            defects={defect.what: defect.count for defect in labels.defects},
            columns=labels.columns,
            labels=labels,
        )

    return read
