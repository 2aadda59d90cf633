"""Everything that a seed decides, as functions of the seed: digests of what they return.

Run as a script, it prints the digests of all jobs for a seed as JSON.
"""

import json
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from joblib import hash as digest

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, KmerEmbedder, SpeciesClusterer
from dnaembed.backbones import train_bpe_tokenizer
from dnaembed.benchmark import clustering_scores, few_shot_scores
from dnaembed.datasets import make_species_dataset
from dnaembed.training import (
    ContrastiveFineTuner,
    ContrastiveTrainer,
    GenomePairs,
    GenomeStore,
    ReadPairs,
    TrainingConfig,
    add_errors,
    list_genomes,
)
from tests.helpers.random_models import random_dnabert, random_profile

SPECIES = [[0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.2, 0.5], [0.1, 0.4, 0.4, 0.1]]
Y = np.repeat(np.arange(3), 20)


def _reads():
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGT"), rng.integers(200, 900), p=SPECIES[y])) for y in Y]


READS = _reads()


def tiny_transformer(**options):
    """Return a transformer of random weights, with dropout."""
    tokenizer = train_bpe_tokenizer(READS, vocab_size=64)
    return random_dnabert(tokenizer, vocab_size=64, hidden_dropout_prob=0.2, **options)


def tiny_profile():
    """Return a k-mer network of random weights, with dropout."""
    sizes = {"k": [4], "hidden_size": 32, "intermediate_size": 32, "deep_size": 16}
    return random_profile(**sizes, num_hidden_layers=2, dropout=0.2)


def fine_tuner(**options):
    """Return a fine-tuner that makes a few large steps on short reads."""
    sizes = {"min_reads": 0, "min_read_length": 100, "min_length": 50, "max_length": 200}
    return ContrastiveFineTuner(n_steps=4, batch_size=8, learning_rate=1e-3, **sizes, **options)


def fine_tuned(backbone, seed, y=Y, **options):
    """Return the weights of a model after fine-tuning."""
    return weights(fine_tuner(**options).fine_tune(backbone, READS, y, random_state=seed).model)


def weights(model):
    """Return all weights of a model as one vector."""
    return torch.cat([tensor.float().flatten() for tensor in model.state_dict().values()]).numpy()


def _genomes(folder):
    rng = np.random.default_rng(1)
    for i, p in enumerate(SPECIES):
        letters = "".join(rng.choice(list("ACGT"), 6000, p=p))
        Path(folder, f"g{i}.fa").write_text(f">g{i}\n{letters}\n")
    return folder


def _batches(source):
    drawn = [source.sample(step, 5) for step in range(3)]
    return [(b.view1, b.view2, b.labels.tolist()) for b in drawn]


def _genome_pairs(seed):
    with TemporaryDirectory() as folder:
        store = GenomeStore.build(list_genomes(_genomes(folder)), Path(folder, "store"))
        source = GenomePairs(store, min_length=50, max_length=200, virtual_share=0.5, seed=seed)
        return _batches(source)


def _species_dataset(seed):
    with TemporaryDirectory() as folder:
        how = {"n_reads": 5, "length": (100, 300), "error_rate": 0.05, "abundance": "lognormal"}
        data = make_species_dataset(_genomes(folder), **how, random_state=seed)
    return data.sequences, data.labels.tolist()


def trained(seed, backbone=None, **options):
    """Return the weights of a model and its head after contrastive training, and the log."""
    config = TrainingConfig(n_steps=6, batch_size=8, log_every=1, seed=seed, **options)
    source = ReadPairs(READS, Y, min_length=50, max_length=200, seed=seed)
    trainer = ContrastiveTrainer(backbone or tiny_profile(), source, config, device="cpu")
    trainer.train()
    log = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    return weights(trainer.backbone.model), weights(trainer.head), log


def _classified(seed):
    classifier = FewShotSpeciesClassifier(
        KmerEmbedder(k=3), calibrate=True, unknown=-1, false_unknown_rate=0.2
    ).fit(READS, Y)
    names = ("predict_proba", "predict", "novelty_scores", "confidence")
    return [getattr(classifier, name)(READS) for name in names]


def _clustered(**options):
    def job(seed):
        embedder = KmerEmbedder(k=3)
        clusterer = SpeciesClusterer(embedder=embedder, random_state=seed, **options).fit(READS)
        return clusterer.labels_, clusterer.cluster_centers_, clusterer.predict(READS)

    return job


JOBS = {
    "KmerEmbedder": lambda seed: [
        KmerEmbedder(method=method).fit_transform(READS) for method in ("canonical", "raw")
    ],
    "DNABertSEmbedder": lambda seed: DNABertSEmbedder(cache=None, device="cpu").fit_transform(
        READS
    ),
    "DNABertSEmbedder, fine-tuned": lambda seed: DNABertSEmbedder(
        fine_tuner=fine_tuner(), random_state=seed, device="cpu"
    ).fit_transform(READS, Y),
    "FewShotSpeciesClassifier": _classified,
    "K-means": _clustered(n_clusters=3),
    "graph of few rows": _clustered(method="graph", n_neighbors=5),
    "graph of a cloud": lambda seed: (
        SpeciesClusterer(method="graph", resolution=1.5, min_bin_size=2, random_state=seed)
        .fit(np.random.default_rng(0).normal(size=(150, 8)))
        .labels_
    ),
    "K-medoid": _clustered(min_similarity=0.9),
    "clustering_scores": lambda seed: clustering_scores(
        KmerEmbedder(k=3).fit_transform(READS), Y, n_repeats=2, first_seed=seed
    ),
    "few_shot_scores": lambda seed: few_shot_scores(
        KmerEmbedder(k=3).fit_transform(READS), Y, shots=[2], n_test=9, n_repeats=2, first_seed=seed
    ),
    "train_bpe_tokenizer": lambda seed: train_bpe_tokenizer(READS, vocab_size=64).to_str(),
    "tiny profile, without labels": lambda seed: fine_tuned(tiny_profile(), seed, y=None),
    "tiny transformer, in pieces": lambda seed: fine_tuned(tiny_transformer(), seed, budget=200),
    "ReadPairs": lambda seed: _batches(
        ReadPairs(READS, Y, min_length=50, max_length=99, seed=seed)
    ),
    "GenomePairs": _genome_pairs,
    "make_species_dataset": _species_dataset,
    "add_errors": lambda seed: add_errors(READS, 0.1, random_state=seed),
    "ContrastiveTrainer": trained,
    "ContrastiveTrainer, in pieces": lambda seed: trained(seed, budget=5, loss="mi_mix"),
}

# What is the same whatever the seed.
UNSEEDED = {"KmerEmbedder", "DNABertSEmbedder", "FewShotSpeciesClassifier", "K-medoid"}
UNSEEDED |= {"train_bpe_tokenizer", "graph of few rows"}


if __name__ == "__main__":
    warnings.simplefilter("error")
    digests = {name: digest(job(int(sys.argv[1]))) for name, job in JOBS.items()}
    sys.stdout.write(json.dumps(digests))
