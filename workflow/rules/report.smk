rule report:
    input:
        analysis="data/analysis/manifest.json",
        ablations=["data/ablations/manifest.json"] if "ablations" in ALSO else [],
    output:
        # What `snakemake --report` shows of it; the manifest lists the rest.
        page=report("data/report/report.html", category="Results", caption="../report/page.rst"),
        figure=report("data/report/scores.svg", category="Results", caption="../report/scores.rst"),
        manifest="data/report/manifest.json",
    log:
        "data/logs/report.log",
    benchmark:
        "data/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("report"),
        # Measured anew with every run: a timing must not make the report stale.
        benchmarks="$(find data/benchmarks -name '*.tsv' | sort)",
        config=section("report"),
    message:
        "results table and report"
    shell:
        "spatialsv report --analysis {input.analysis} --ablations {input.ablations}"
        " --benchmarks {params.benchmarks}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
