"""The command behind the results page, on toy genomes."""

import json

import numpy as np
import pytest

from dnaembed.benchmark import BenchmarkResult, default_embedders
from tests.helpers.benchmarks import load_benchmark

results = load_benchmark("results")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Genomes of different base composition; four species to train on, four to test, phages."""
    folder = tmp_path_factory.mktemp("genomes")
    rng = np.random.default_rng(0)
    lines = ["path\tsplit\tdomain\tlabel\tgenus\tphylum"]
    for domain, size in (("bacteria", 60_000), ("virus", 30_000)):
        for i in range(8):
            gc = 0.25 + 0.06 * i
            genome = rng.choice(list("ACGT"), size, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])
            path, split = f"{domain}-{i}.fna", ("train", "dev")[i % 2]
            (folder / path).write_text(f">g{i}\n{''.join(genome)}\n")
            lines.append(f"{path}\t{split}\t{domain}\t{domain} {i}\tgenus {i // 4}\t")
    (folder / "catalog.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_sets(folder):
    sets = results.genome_sets(folder, seeds=[0, 1], n_reads=12)
    assert list(sets) == ["clean", "errors", "short", "viruses"]  # no organelles there
    clean, errors = sets["clean"][0], sets["errors"][0]
    assert errors.labels.tolist() == clean.labels.tolist()
    assert errors.sequences != clean.sequences
    assert sets["clean"][1].sequences != clean.sequences
    assert set(clean.labels.tolist()) == {f"bacteria {i}" for i in (1, 3, 5, 7)}
    assert set(sets["viruses"][0].labels.tolist()) <= {f"virus {i}" for i in (1, 3, 5, 7)}
    assert max(map(len, sets["short"][0].sequences)) <= results.SETS["short"].length[1]
    with pytest.raises(ValueError, match="no genomes of split 'dev' in any known domain"):
        results.genome_sets(folder, recipes={"organelles": results.SETS["organelles"]})


@pytest.fixture(scope="module")
def output(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("docs") / "results"
    arguments = [str(folder), "-o", str(output), "--sets", "clean", "viruses", "--seeds", "2"]
    arguments += ["--reads", "12", "--training-batches", "1"]
    assert results.main(arguments) == 0
    before = (output / "scores.csv").read_text()
    assert results.main(arguments) == 0  # everything is found, timings included
    assert (output / "scores.csv").read_text() == before
    return output


def test_files_of_a_run(output):
    pictures = {"bars.png", "few_shot.png", "map.png"}
    tables = {"headlines.txt", "losses.txt", "results.json", "scores.csv", "scores.html"}
    tables |= {"sets.txt", "summary.csv"}
    assert {path.name for path in output.iterdir()} == {".cache"} | pictures | tables
    content = json.loads((output / "results.json").read_text())
    assert content["about"]["n_training"] == 1024
    embedders = {r["embedder"] for r in content["records"]}
    assert embedders == {*default_embedders(), "TNF-K", "k-mer net"}
    assert {r["set"] for r in content["records"]} == {"clean", "viruses"}


def test_tables_are_valid_rst(output):
    from docutils.core import publish_doctree

    pages = [output / f"{name}.txt" for name in ("sets", "headlines", "losses")]
    text = "\n".join(page.read_text() for page in pages)
    publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2})
    rows = (output / "scores.html").read_text().split("<tr>")[2:]
    assert {row[4:].partition("</td>")[0] for row in rows} == {"clean", "viruses"}


def test_headlines_and_losses(tmp_path):
    values = {
        "raw TNF": (0.2, 0.60, 10),
        "canonical TNF": (0.4, 0.65, 12),
        "LDA of 4+5-mers": (0.55, 0.5, 15),
        "bundled model": (0.5, 0.7, 25),
    }
    scores = (("clustering", "ari"), ("few_shot", "f1@10"), ("binning", "f1>0.5"))
    records = [
        {"embedder": e, "set": "clean", "protocol": p, "score": s, "seed": 0, "value": v}
        for e, row in values.items()
        for (p, s), v in zip(scores, row, strict=True)
    ]
    draw = {"n_labels": 4, "n_reads": 40, "least_reads_a_label": 10, "bases": 1_500_000}
    about = {"sets": {"clean": [draw]}, "versions": {"numpy": "2"}, "n_training": 7}
    results.write_results(BenchmarkResult(records, about), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert results.main(["-o", str(tmp_path)]) == 0  # again, from the scores
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    text = (tmp_path / "losses.txt").read_text()
    assert "Of 3 comparisons" in text
    assert "model loses 1, 0 of them by no more than one standard deviation." in text
    assert "- clean, K-means ARI: LDA of 4+5-mers has 0.550, the bundled model 0.500." in text
    text = (tmp_path / "headlines.txt").read_text()
    assert "K-means ARI\n     - 0.20\n     - 0.40\n     - **0.55**\n" in text
    assert "binned with F1 over 0.5\n     - 10\n     - 12\n     - 15\n     -\n     - **25**" in text


def test_wrong_embedder(folder, tmp_path):
    with pytest.raises(ValueError, match="--embedder takes NAME=MODEL, got 'x'"):
        results.main([str(folder), "-o", str(tmp_path / "out"), "--embedder", "x"])
