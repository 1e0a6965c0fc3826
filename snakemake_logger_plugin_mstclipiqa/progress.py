"""How far a run is, and when it will end, from what its jobs took so far."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: Rules of the Snakefile that only gather files.
TARGETS = ("all", "reproduce", "heads", "packs")


@dataclass
class Job:
    """One job: its rule, the name that a line shows, and when it began, in seconds since the epoch."""

    rule: str
    name: str
    began: float


@dataclass
class Progress:
    """The jobs of a run, by Snakemake's number of each. Times are in seconds.

    The time left is that of the jobs left, over the number of jobs that ran at a time so far. A job left takes what the
    finished jobs of its rule took on average; one whose rule has not finished any, what all of them took. One of
    TARGETS takes none.
    """

    left: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ended: list[tuple[Job, float]] = field(default_factory=list)
    began: float | None = None

    def plan(self, stats: Mapping[str, int]) -> None:
        """What is to be run: jobs by rule, as Snakemake counts them, with their `total`."""
        self.left = Counter({rule: count for rule, count in stats.items() if rule != "total"})

    @property
    def planned(self) -> str:
        """The plan in a line, the most frequent rule first."""
        rules = ", ".join(f"{count} {rule}" for rule, count in self.left.most_common())
        total = self.left.total()
        return f"{total} job{'s' if total != 1 else ''}: {rules}"

    def start(self, number: int, rule: str, wildcards: Mapping[str, str], now: float) -> None:
        """Job `number` begins."""
        self.began = now if self.began is None else self.began
        self.running[number] = Job(rule, " ".join([rule, *map(str, (wildcards or {}).values())]), now)

    def finish(self, number: int, now: float) -> None:
        """Job `number` ends well."""
        job = self.running.pop(number, None)
        if job is not None:
            self.took[job.rule].append(now - job.began)
            self.left[job.rule] -= 1
            self.ended.append((job, now - job.began))

    def report(self, done: int, total: int, now: float) -> Iterator[str]:
        """A line for each job that ended since the last report, when `done` of `total` jobs are done."""
        ended, self.ended = self.ended, []
        for job, seconds in ended:
            left = f"about {duration(self.seconds_left(now))} left"
            end = left if done < total else f"{duration(now - self.start_of_run(now))} in all"
            yield f"[{done:>{len(str(total))}}/{total}] {job.name}: {duration(seconds)}; {end}"

    def start_of_run(self, now: float) -> float:
        """When the first job began."""
        return now if self.began is None else self.began

    def seconds_left(self, now: float) -> float:
        """The estimate that the class describes."""
        all_jobs = [seconds for rule, of_rule in self.took.items() if rule not in TARGETS for seconds in of_rule]
        if not all_jobs:
            return 0.0
        mean = sum(all_jobs) / len(all_jobs)
        expected = {rule: sum(of_rule) / len(of_rule) for rule, of_rule in self.took.items() if of_rule}
        begun = sum(now - job.began for job in self.running.values())
        work = sum(count * expected.get(rule, mean) for rule, count in self.left.items() if rule not in TARGETS)
        at_a_time = max(1.0, (sum(all_jobs) + begun) / max(now - self.start_of_run(now), 1e-9))
        return max(work - begun, 0.0) / at_a_time


def duration(seconds: float) -> str:
    """A time in one unit or two: 0.4 s, 12 s, 3 min, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
