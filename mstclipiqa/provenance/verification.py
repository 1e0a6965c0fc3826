"""Does a results folder hold? Its hashes, its identities and its numbers, held against what they are said to be of.

Found out: a file that was changed, cut or lost, and one that the manifest does not name where it should; samples that
the data folder does not give, or whose prompts are grouped otherwise; splits that their protocol does not give;
features of other images, of another shape or not finite; predictions of another job, recipe, encoder, seed or code, of
other images than those the split tests, or beside other MOS; entered scores that are not their entry's; metrics,
intervals, paired tests, tables by generator, verdicts, rivals, parameters and operations that come out otherwise;
features that are not their pack's, or not what its encoders give of images that are at hand; curves, transfer,
dissections and attention that a run of the suite contradicts; titles, descriptions and readings that are not this
version's.

Not found out: whoever writes every file anew, consistently and with a new manifest, cannot be told from one who ran the
study; that takes running it again, or a signature (provenance/signatures). Held to their hashes alone, so to the
manifest's word: the values of features and predictions, the other points of curves, transfer and dissections, the
weights of attention, the probe, hardware, the data folder's name, and without a data folder the labels.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mstclipiqa.base.progress import say
from mstclipiqa.provenance.attention_checks import check_attention
from mstclipiqa.provenance.control_checks import Controls, check_controls
from mstclipiqa.provenance.data_checks import check_features, check_levels, check_samples, check_splits
from mstclipiqa.provenance.dissection_checks import check_dissections
from mstclipiqa.provenance.folder import Folder, Verdict
from mstclipiqa.provenance.manifest_checks import check_manifest, check_outputs
from mstclipiqa.provenance.pack_checks import check_pack
from mstclipiqa.provenance.run_checks import check_claims, check_metrics, check_runs, check_statistics


def leaves_out_nothing(name: str) -> bool:
    """Of a whole results folder no output may be missing."""
    return False


def verify_results(
    results: Path,
    data_root: Path | None = None,
    config: Path | None = None,
    left_out: Callable[[str], bool] = leaves_out_nothing,
    controls: Controls | None = None,
    workers: int = 1,
) -> Verdict:
    """Hold a suite's results folder against its manifest, and its numbers against its predictions.

    `data_root` is the folder with a folder per benchmark, for inputs; `config` the folder with
    PAPER_FILES and recipes/, for verdicts and recipes. Outputs for which `left_out` is true may be missing. `controls`
    compute rivals and costs again. So many processes hold predictions, metrics, rivals, intervals and tests; `left_out`
    and `controls` are functions of modules then. Raises InputError where there is no readable manifest, as nothing can
    be said then.
    """
    return verify_folder(Folder(results.resolve(), data_root, config, left_out, workers), controls)


def verify_folder(folder: Folder, controls: Controls | None = None) -> Verdict:
    """As `verify_results`, of a folder whose manifest is read."""
    steps: list[tuple[str, Callable[[], None]]] = [
        ("the manifest", lambda: check_manifest(folder)),
        ("the hashes of all files", lambda: check_outputs(folder)),
        *((f"{name}: samples, splits, features", partial(check_benchmark, folder, name)) for name in folder.present),
        ("the levels", lambda: check_levels(folder)),
        ("the predictions", lambda: check_runs(folder)),
        ("the metrics", lambda: check_metrics(folder)),
        ("rivals, curves, transfer and costs", lambda: check_controls(folder, controls)),
        ("dissections", lambda: check_dissections(folder)),
        ("attention to the prompts", lambda: check_attention(folder)),
        ("intervals and paired tests", lambda: check_statistics(folder)),
        ("the verdicts", lambda: check_claims(folder)),
    ]
    if folder.data_root is None:
        count = len(folder.manifest["inputs"])
        folder.verdict.notes.append(f"{count} label files and all images: no data folder given")
    for number, (what, check) in enumerate(steps, 1):
        say(f"verify: {what} ({number} of {len(steps)})")
        check()
    return folder.verdict


def check_benchmark(folder: Folder, benchmark: str) -> None:
    """What a benchmark that took part is made of: samples, splits, features, and its pack where it has one."""
    check_samples(folder, benchmark)
    check_splits(folder, benchmark)
    check_features(folder, benchmark)
    check_pack(folder, benchmark)
