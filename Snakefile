# Benchmark files in, one page out: reports/<suite>/index.html
#
#   snakemake --cores all reproduce                                       the real AGIQA-3K from its pack, and stand-ins
#   snakemake --cores all reproduce --configfile config/agiqa-3k.yaml     the real AGIQA-3K from its images
#   snakemake -n --configfile config/paper.yaml                           what the whole study would run
#   snakemake --cores all check --configfile config/reduced.yaml          are the numbers still the committed ones?
#
# The target rules stand here, not in an included file: a Snakefile that only includes plans nothing.

import os
from pathlib import Path

from snakemake.utils import min_version

min_version("9.14")

#: What is beside this file, from any working directory and within another workflow.
CONFIG = Path(os.path.relpath(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)) / "config"))
RECIPES = CONFIG / "recipes"


# A configuration is whole: the default suite's stands in where none is given, and fills no gap of another.
if not workflow.overwrite_configfiles:

    configfile: CONFIG / "config.yaml"


report: "workflow/report/workflow.rst"


# Read with `--sdm apptainer` alone: the image that docs/install.md makes of the Containerfile.
container: os.environ.get("MSTCLIPIQA_IMAGE", "mstclipiqa.sif")


include: "workflow/rules/common.smk"
include: "workflow/rules/options.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/packs.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/heads.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/curves.smk"
include: "workflow/rules/efficiency.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/dissection.smk"
include: "workflow/rules/attention.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{REPORTS}/index.html",


rule reproduce:
    input:
        f"{REPORTS}/index.html",


rule check:
    input:
        metrics=at(layout.METRICS),
        intervals=at(layout.INTERVALS),
        manifest=at(layout.MANIFEST),
        reference=reference,
    log:
        f"{RESULTS}/logs/check.log",
    conda:
        "environment.yml"
    threads: config["training"]["workers"]
    params:
        results=lambda wildcards, input: Path(input.metrics).parent,
    shell:
        "python -m mstclipiqa check --results {params.results:q} --reference {input.reference:q} --workers {threads}"
        " 2>&1 | tee {log:q} >&2"
