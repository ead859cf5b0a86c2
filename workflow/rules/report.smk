rule report:
    input:
        train=of_run("train"),
        lift=of_run("lift"),
        probe=of_run("probe"),
        evaluate=of_run("evaluate"),
        pseudo=of_run("pseudo"),
        scenes=scenes_of("test"),
    output:
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
            "geometry/rays",
            "report",
            "scenes/rooms/layout",
            "scenes/rooms/parts",
            "scenes/rooms/question",
            "scenes/rooms/questions",
            "scenes/rooms/room",
            "scenes/rooms/seen",
            "scenes/scene",
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
        " --scenes {input.scenes} --benchmarks {params.benchmarks}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
