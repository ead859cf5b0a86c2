rule report:
    input:
        train=of_run("train"),
        lift=of_run("lift"),
        probe=of_run("probe"),
        evaluate=of_run("evaluate"),
        pseudo=of_run("pseudo"),
        scenes=scenes_of(SPLIT),
        labels=teacher_beside(),
        ablations=["data/ablations/manifest.json"] if "ablations" in ALSO else [],
    output:
        # What `snakemake --report` shows of it; the manifest lists the rest.
        page=report("data/report/report.html", category="Results", caption="../report/page.rst"),
        figure=report("data/report/scores.svg", category="Results", caption="../report/scores.rst"),
        table=report("data/report/scores.csv", category="Results", caption="../report/table.rst"),
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
        code=code_version(
            "geometry/camera",
            "geometry/maps",
            "geometry/rays",
            "report",
            "rooms/layout",
            "rooms/parts",
            "scenes/question",
            "rooms/questions",
            "rooms/room",
            "rooms/seen",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "stats",
        ),
        # Measured anew with every run: a timing must not make the report stale.
        benchmarks="$(find data/benchmarks -name '*.tsv' | sort)",
        config=section("report"),
    message:
        "results table and report"
    shell:
        "spatialsv report --train {input.train} --lift {input.lift}"
        " --probe {input.probe} --evaluate {input.evaluate} --pseudo {input.pseudo}"
        " --scenes {input.scenes} --labels {input.labels} --ablations {input.ablations}"
        " --benchmarks {params.benchmarks}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
