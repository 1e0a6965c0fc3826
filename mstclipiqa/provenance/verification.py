"""Does a results folder hold? Its hashes, its identities and its numbers, held against what they are said to be of.

Found out: a file that was changed, cut or lost, and one that the manifest does not name where it should; samples that
the data folder does not give, or whose prompts are grouped otherwise; splits that their protocol does not give;
features of other images, of another shape or not finite; predictions of another job, recipe, encoder, seed or code, of
other images than those the split tests, or beside other MOS; metrics, intervals, paired tests, tables by generator,
verdicts, rivals, parameters and operations that come out otherwise; features that are not their pack's, or not what
its encoders give of images that are at hand; curves, transfer and dissections that a run of the suite contradicts;
titles, descriptions and readings that are not this version's.

Not found out: whoever writes every file anew, consistently and with a new manifest, cannot be told from one who ran the
study; that takes running it again, or a signature (provenance/signatures). Held to their hashes alone, so to the
manifest's word: the values of features and predictions, the other points of curves, transfer and dissections, the
probe, hardware, the data folder's name, and without a data folder the labels.
"""

from collections.abc import Callable
from pathlib import Path

from mstclipiqa.provenance.control_checks import Controls, check_controls
from mstclipiqa.provenance.data_checks import check_features, check_levels, check_samples, check_splits
from mstclipiqa.provenance.dissection_checks import check_dissections
from mstclipiqa.provenance.folder import Folder, Verdict
from mstclipiqa.provenance.manifest_checks import check_manifest, check_outputs
from mstclipiqa.provenance.pack_checks import check_pack
from mstclipiqa.provenance.run_checks import check_claims, check_metrics, check_runs, check_statistics


def verify_results(
    results: Path,
    data_root: Path | None = None,
    config: Path | None = None,
    left_out: Callable[[str], bool] = lambda name: False,
    controls: Controls | None = None,
) -> Verdict:
    """Hold a suite's results folder against its manifest, and its numbers against its predictions.

    `data_root` is the folder with a folder per benchmark, for inputs; `config` the folder with
    PAPER_FILES and recipes/, for verdicts and recipes. Outputs for which `left_out` is true may be missing. `controls`
    compute rivals and costs again. Raises InputError where there is no readable manifest, as nothing can be said then.
    """
    return verify_folder(Folder(results.resolve(), data_root, config, left_out), controls)


def verify_folder(folder: Folder, controls: Controls | None = None) -> Verdict:
    """As `verify_results`, of a folder whose manifest is read."""
    check_manifest(folder)
    check_outputs(folder)
    for benchmark in folder.present:
        check_samples(folder, benchmark)
        check_splits(folder, benchmark)
        check_features(folder, benchmark)
        check_pack(folder, benchmark)
    check_levels(folder)
    if folder.data_root is None:
        count = len(folder.manifest["inputs"])
        folder.verdict.notes.append(f"{count} label files and all images: no data folder given")
    check_runs(folder)
    check_metrics(folder)
    check_controls(folder, controls)
    check_dissections(folder)
    check_statistics(folder)
    check_claims(folder)
    return folder.verdict
