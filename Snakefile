# Benchmark files in, one page out: reports/<suite>/index.html
#
#   snakemake --cores all reproduce                                       the embedded miniature suite
#   snakemake --cores all reproduce --configfile config/agiqa-3k.yaml     the real AGIQA-3K
#   snakemake -n --configfile config/paper.yaml                           what the whole study would run
#   snakemake --cores all check --configfile config/reduced.yaml          are the numbers still the committed ones?
#
# The target rules stand here, not in an included file: a Snakefile that only includes plans nothing.

from snakemake.utils import min_version

min_version("9.14")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/heads.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/curves.smk"
include: "workflow/rules/efficiency.smk"
include: "workflow/rules/probe.smk"
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
        metrics=f"{RESULTS}/metrics.parquet",
        intervals=f"{RESULTS}/intervals.parquet",
        manifest=f"{RESULTS}/manifest.json",
        reference=reference,
    params:
        results=lambda wildcards, input: Path(input.metrics).parent,
    log:
        f"{RESULTS}/logs/check.log",
    conda:
        "environment.yml"
    shell:
        "python -m mstclipiqa check --results {params.results:q} --reference {input.reference:q} 2>&1 | tee {log:q}"
