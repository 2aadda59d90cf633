"""Write what this version saves into ``tests/data/compat/<version>``, with what it must give.

Run once before a release, with the lowest versions of ``.ci/constraints-lowest.txt``, so that the
pickles are such as later versions of the libraries meet:
``python -m tests.helpers.make_compat``. Folders of earlier versions stay as they are: see
tests/test_compatibility.py.
"""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import torch

from dnaembed import (
    DNABertSEmbedder,
    FewShotSpeciesClassifier,
    KmerEmbedder,
    SpeciesClusterer,
    __version__,
)
from dnaembed.io import write_embeddings
from dnaembed.species._saved import EmbeddingSource, save_clusters
from dnaembed.training import ContrastiveTrainer, ReadPairs, TrainingConfig
from tests.helpers.seeded_jobs import READS, Y, fine_tuner, tiny_profile, tiny_transformer

TRAINING = {"n_steps": 6, "batch_size": 8, "log_every": 1, "checkpoint_every": 3}
TRAINING |= {"ema_decay": 0.9, "anchor": 0.1, "head_size": 8}


def trainer(folder):
    """Return the trainer of the run whose checkpoint is kept."""
    backbone = tiny_profile()
    with torch.no_grad():  # the same weights whatever the version of torch draws
        for i, parameter in enumerate(backbone.model.parameters()):
            values = np.random.default_rng(i).normal(size=parameter.shape) / 8
            parameter.copy_(torch.from_numpy(values))
    for module in backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    source = ReadPairs(READS, Y, min_length=50, max_length=200)
    config = TrainingConfig(**TRAINING)
    return ContrastiveTrainer(backbone, source, config, output_dir=folder, device="cpu")


def main():
    """Write the folder of this version."""
    folder = Path(__file__).resolve().parents[1] / "data" / "compat" / __version__
    folder.mkdir(parents=True)
    os.chdir(folder)  # names in pickles are relative
    reads, y = READS[::2], Y[::2]
    (folder / "reads.json").write_text(json.dumps({"reads": reads, "y": y.tolist()}))
    expected = {}
    for name, backbone in (("profile", tiny_profile()), ("dnabert", tiny_transformer())):
        backbone.save(folder / name)
        embedder = DNABertSEmbedder(folder / name, cache=None, device="cpu")
        expected[f"model {name}"] = embedder.fit_transform(reads)
    rows = KmerEmbedder(k=3).fit_transform(reads)
    pickled = {
        "kmer_embedder": KmerEmbedder(k=3, method="raw"),
        "embedder": DNABertSEmbedder(normalize=True, device="cpu"),
        "fine_tuned_embedder": DNABertSEmbedder(
            "profile", fine_tuner=fine_tuner(), random_state=0, device="cpu"
        ),
        "classifier": FewShotSpeciesClassifier(KmerEmbedder(k=3), unknown=-1, calibrate=True),
        "kmeans": SpeciesClusterer(3, embedder=KmerEmbedder(k=3), random_state=0),
        "graph": SpeciesClusterer(embedder=KmerEmbedder(k=3), min_bin_size=5, random_state=0),
    }
    for name, estimator in pickled.items():
        estimator.fit(reads, y)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(estimator, protocol=5))
        give = estimator.transform if hasattr(estimator, "transform") else estimator.predict
        expected[f"pickle {name}"] = give(reads)
    expected["probabilities"] = pickled["classifier"].predict_proba(reads)
    expected["novelty"] = pickled["classifier"].novelty_scores(reads)
    clusterer = SpeciesClusterer(3, random_state=0).fit(rows)
    source = EmbeddingSource("0123abcd", None, False, "k-mers")
    save_clusters(folder / "clusters", clusterer, source)
    expected["clusters"] = clusterer.predict(rows)
    expected["rows"] = rows
    for suffix in ("npy", "tsv", "parquet"):
        ids = [f"read {i}" for i in range(5)]
        write_embeddings(folder / f"embeddings.{suffix}", ids, rows[:5])
    trained = trainer(folder / "run").train()
    weights = torch.cat([p.detach().flatten() for p in trained.model.parameters()])
    expected["trained"] = weights.numpy()
    # The run as it was when it was stopped half-way.
    shutil.rmtree(folder / "run" / "checkpoints" / "step-000000006")
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
