"""
A classifier head of your own
=============================

:class:`~dnaembed.FewShotSpeciesClassifier` ends in a logistic regression. Any scikit-learn
classifier can stand there instead, and any network of your own, once it has ``fit`` and
``predict_proba``. We try three heads on the same embeddings.
"""

# %%
# A head is a plain scikit-learn classifier. This one is a small network in torch: one hidden layer
# with dropout, on cosine similarities, trained on the labelled reads within a second. The
# constructor stores, ``fit`` sets what ends in an underscore. scikit-learn asks for no more.

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class TorchHead(ClassifierMixin, BaseEstimator):
    """One hidden layer over unit vectors, with label smoothing."""

    def __init__(self, hidden=64, n_steps=200, learning_rate=0.01, random_state=0):
        self.hidden = hidden
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, codes = np.unique(y, return_inverse=True)
        rows, targets = self._unit(X), torch.from_numpy(codes)
        # The seed holds within the block only: no one else's random numbers change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            self.network_ = torch.nn.Sequential(
                torch.nn.Linear(X.shape[1], self.hidden),
                torch.nn.GELU(),
                torch.nn.Dropout(0.3),
                torch.nn.Linear(self.hidden, len(self.classes_)),
            )
            loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
            optimizer = torch.optim.AdamW(self.network_.parameters(), lr=self.learning_rate)
            for _ in range(self.n_steps):
                optimizer.zero_grad()
                loss(self.network_(rows), targets).backward()
                optimizer.step()
        self.network_.eval()
        return self

    @torch.no_grad()
    def predict_proba(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self.network_(self._unit(X)).softmax(dim=1).numpy()

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @staticmethod
    def _unit(X):
        return torch.nn.functional.normalize(torch.from_numpy(X))


# %%
# It takes the place of the logistic regression, and gets ``unknown``, ``calibrate`` and
# ``consensus`` with it.

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier
from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
labels = reads.labels
train = np.concatenate([np.flatnonzero(labels == species)[:5] for species in np.unique(labels)])
test = np.setdiff1d(np.arange(len(labels)), train)
classifier = FewShotSpeciesClassifier(
    DNABertSEmbedder(), TorchHead(), scale=False, unknown="unknown"
)
classifier.fit([reads.sequences[i] for i in train], labels[train])
queries = [reads.sequences[i] for i in test]
calls = classifier.predict(queries)
print(
    f"{np.mean(calls == labels[test]):.0%} right, {np.mean(calls == 'unknown'):.0%} called unknown"
)

# %%
# Is it any better? Each head learns from the same reads, drawn anew five times, and is tested on
# 200 others. To make it harder, reads are cut to their first kilobase. They are embedded once.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

short = [sequence[:1000] for sequence in reads.sequences]
embeddings = DNABertSEmbedder().fit_transform(short)
heads = {
    "logistic regression": LogisticRegression(C=0.5, max_iter=3000),
    "nearest neighbour": KNeighborsClassifier(1, metric="cosine"),
    "torch network": TorchHead(),
}
shots = (1, 2, 5, 10, 20)
scores = {
    name: np.array(
        [
            cross_val_score(
                FewShotSpeciesClassifier(classifier=head),
                embeddings,
                labels,
                cv=StratifiedShuffleSplit(5, train_size=10 * n, test_size=200, random_state=0),
            )
            for n in shots
        ]
    )
    for name, head in heads.items()
}
for name, values in scores.items():
    print(f"{name:20}", *(f"{mean:.2f}" for mean in values.mean(axis=1)))

# %%
# Means of the five draws, and their standard deviations.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
places = np.arange(len(shots))
for shift, (name, values), color, marker in zip(
    (-0.1, 0, 0.1), scores.items(), ["#0072B2", "#009E73", "#D55E00"], "o^s", strict=True
):
    axis.errorbar(
        places + shift,
        values.mean(axis=1),
        values.std(axis=1, ddof=1),
        color=color,
        marker=marker,
        capsize=3,
        label=name,
    )
axis.set_xticks(places, [str(n) for n in shots])
axis.set(xlabel="labelled reads per species", ylabel="accuracy on other reads", ylim=(None, 1))
axis.legend(loc="lower right")
plt.show()

# %%
# The plain logistic regression is as good as the network, or better: the embedding does the work,
# and a few dozen reads cannot teach a network much. Draws differ by more than heads do. A head of
# your own pays where it knows something that the others do not: costs of errors, a hierarchy of
# names, hundreds of labelled reads per species.
#
# To tune the embedding itself instead of a head on it, see
# :ref:`sphx_glr_auto_examples_training_plot_fine_tuning.py`.
