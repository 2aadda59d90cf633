"""``dnaembed demo``: what embeddings are good for, on bundled reads, in less than a minute."""

from importlib.resources import files
from typing import Any

from ._app import command, flag, group, logger, option
from ._options import PICTURE_FILE, Embedding

_EXAMPLES = """\
  dnaembed demo
  dnaembed demo --umap -o reads.png
  dnaembed demo --save-reads demo          files to try the other commands on
  dnaembed demo --model zhihan1996/DNABERT-S
"""


@group()
class Picture:
    """What is drawn and written."""

    output: str = option(
        *("The picture.", "PICTURE.png", "--output", "-o"),
        default="dnaembed_demo.png",
        mark=PICTURE_FILE,
    )
    save_reads: str | None = option("Only write the demo files into this folder.", "FOLDER")
    umap: bool = flag("Draw UMAP, not principal components.")


@command(_EXAMPLES)
def demo(picture: Picture, embedding: Embedding) -> None:
    """Show what it does, on bundled reads.

    Embed 400 reads, cut from genomes of 10 bacteria, and draw them; then cluster, classify and bin
    them and print how well that went with each embedder. The bundled model needs no network.
    """
    import pandas as pd

    from ..benchmark import default_embedders
    from ..benchmark._benchmark import model_name
    from ..datasets import load_demo_reads, save_demo_reads
    from ..plotting import EmbeddingDisplay, new_figure, save_figure

    if picture.save_reads is not None:
        save_demo_reads(picture.save_reads)
        logger.info("The reads are in the folder %s.", picture.save_reads)
        return
    reads = load_demo_reads()
    model = model_name(embedding.model)
    usual = default_embedders(model=None)
    embedders = {name: usual[name] for name in ("raw TNF", "canonical TNF")}
    embedders[model] = embedding.embedder
    print(f"{len(reads.ids)} reads of {len(set(reads.labels))} bacteria, 2-6 kb, either strand")
    rows = {name: e.fit_transform(reads.sequences) for name, e in embedders.items()}
    figure, panels = new_figure(2)
    method = "umap" if picture.umap else "pca"
    for panel, name in zip(panels, ("raw TNF", model), strict=True):
        how: Any = {"method": method, "random_state": embedding.seed, "title": name, "ax": panel}
        how["legend"] = panel is panels[-1]
        EmbeddingDisplay.from_predictions(rows[name], reads.labels, **how)
    save_figure(figure, picture.output)
    print(f"Picture: {picture.output}\n", flush=True)
    scores = {}
    for name in embedders:
        logger.info("Scoring %s ...", name)
        scores[name] = _scores(rows[name], reads.labels, embedding.seed)
    table = pd.DataFrame(scores, dtype=object).T.rename_axis("embedder").reset_index()
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print("", files(__package__).joinpath("demo.txt").read_text(encoding="utf-8"), sep="\n", end="")


def _scores(embeddings: Any, labels: Any, seed: int) -> dict[str, Any]:
    from .. import SpeciesClusterer
    from ..benchmark import clustering_scores, few_shot_scores
    from ..metrics import species_f1_recall

    # Of 40 reads per species, 10 are left to learn from.
    f1 = few_shot_scores(embeddings, labels, shots=(1, 2, 5, 10), n_test=30)
    bins = SpeciesClusterer(random_state=seed).fit_predict(embeddings)
    matched, _ = species_f1_recall(labels, bins)
    return {
        "ARI": clustering_scores(embeddings, labels)["ari"],
        **{f"F1 {n}-shot" if n == 1 else f"{n}-shot": value for n, value in f1.items()},
        "species binned": int((matched > 0.5).sum()),
        "reads in bins": f"{(bins >= 0).mean():.0%}",
    }
