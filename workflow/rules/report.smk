# runs -> metrics.parquet -> claims.json -> manifest.json -> the page

RUNS = here(job.path for job in [*study.jobs, *study.entries])
STATISTICS = [at(entry) for entry in (layout.INTERVALS, layout.COMPARISONS, layout.GENERATORS)]
PROBES = here(entry.path.format(recipe=name) for name in study.probed for entry in (layout.READOUT, layout.GATES))


rule evaluate:
    input:
        of_benchmarks(layout.SAMPLES, layout.SPLITS),
        runs=RUNS,
    output:
        at(layout.METRICS),
    log:
        f"{RESULTS}/logs/evaluate.log",
    priority: SOON
    conda:
        "../../environment.yml"
    threads: config["training"]["workers"]
    params:
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.evaluation.per_run"),
    shell:
        "python -m mstclipiqa evaluate {input.runs:q} --results {params.results:q} --workers {threads}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule compare:
    input:
        of_benchmarks(layout.SAMPLES, layout.SPLITS),
        RUNS,
        metrics=at(layout.METRICS),
    output:
        STATISTICS,
    log:
        f"{RESULTS}/logs/compare.log",
    priority: SOON
    conda:
        "../../environment.yml"
    threads: config["training"]["workers"]
    params:
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.evaluation.comparisons", data=["data/benchmarks/generators.yaml"]),
    shell:
        "python -m mstclipiqa compare --metrics {input.metrics:q} --results {params.results:q} --workers {threads}"
        " --out {params.results:q} 2>&1 | tee {log:q}"


rule claims:
    input:
        of_benchmarks(layout.SAMPLES, layout.SPLITS),
        RUNS,
        STATISTICS,
        # Also those that are not run: parameters are counted under every recipe.
        sorted(RECIPES.glob("*.yaml")),
        metrics=at(layout.METRICS),
        evidence=[*of_benchmarks(layout.BASELINES), at(layout.EFFICIENCY), at(layout.GENERATORS), *PROBES],
        claims=CONFIG / "claims.yaml",
        paper_tables=CONFIG / "paper_tables.csv",
        prior_results=CONFIG / "prior_results.csv",
    output:
        at(layout.CLAIMS),
    log:
        f"{RESULTS}/logs/claims.log",
    conda:
        "../../environment.yml"
    params:
        recipes=RECIPES,
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.claims.verdicts", data=["model/fusions", "model/rivals", "base/schemas"]),
    shell:
        "python -m mstclipiqa claims {input.evidence:q} --results {params.results:q} --claims {input.claims:q}"
        " --paper-tables {input.paper_tables:q} --prior-results {input.prior_results:q} --recipes {params.recipes:q}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule manifest:
    input:
        here([*study.outputs, *study.controls]),
    output:
        at(layout.MANIFEST),
    log:
        f"{RESULTS}/logs/manifest.log",
    conda:
        "../../environment.yml"
    params:
        config=json.dumps(config, sort_keys=True),
        recipes=RECIPES,
        planned=study.recipes_digest,
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint(data=["."]),
    shell:
        "python -m mstclipiqa manifest --config {params.config:q} --recipes {params.recipes:q} --planned {params.planned}"
        " --results {params.results:q} --out {output:q} 2>&1 | tee {log:q}"


rule report:
    input:
        manifest=at(layout.MANIFEST),
        metrics=at(layout.METRICS),
        statistics=STATISTICS,
        verdicts=at(layout.CLAIMS),
        claims=CONFIG / "claims.yaml",
        paper_tables=CONFIG / "paper_tables.csv",
        prior_results=CONFIG / "prior_results.csv",
        images=expand(f"{DATA}/{{benchmark}}", benchmark=study.pictured),
    output:
        report(f"{REPORTS}/index.html", caption="../report/page.rst", category="The page"),
        f"{REPORTS}/manifest.html",
        f"{REPORTS}/summary.md",
        report(
            directory(f"{REPORTS}/tables"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        report(
            directory(f"{REPORTS}/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        results=lambda wildcards, input: Path(input.manifest).parent,
        reports=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint(
            "mstclipiqa.report",
            data=["report/templates", "report/vega", "report/glossary.md", "base/schemas/claims.schema.yaml"],
        ),
    shell:
        "python -m mstclipiqa report --results {params.results:q} --paper-tables {input.paper_tables:q}"
        " --claims {input.claims:q} --prior-results {input.prior_results:q} --out {params.reports:q} 2>&1 | tee {log:q}"
