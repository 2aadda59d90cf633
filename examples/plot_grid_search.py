"""
Choosing an embedder and a classifier together
==============================================

An embedder is a step of a pipeline like any other, so that `GridSearchCV` can choose its
parameters. Each distinct read is embedded once for each setting of the embedder, however many folds
and candidates there are.
"""

# %%
# Five labelled reads a species to choose with, the others to check the choice.

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.datasets import load_demo_reads

reads = load_demo_reads()
train, test, y_train, y_test = train_test_split(
    reads.sequences, reads.labels, train_size=50, stratify=reads.labels, random_state=0
)

# %%
# The embedder itself is a parameter of the pipeline.

pipeline = Pipeline(
    [
        ("embed", DNABertSEmbedder()),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=3000)),
    ]
)
search = GridSearchCV(
    pipeline,
    {
        "embed": [KmerEmbedder(method="raw"), KmerEmbedder(), DNABertSEmbedder()],
        "classify__C": [0.05, 0.5, 5.0],
    },
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
)
search.fit(train, y_train)
print(search.best_params_)
print(f"accuracy on the other reads: {search.score(test, y_test):.3f}")

# %%
# All candidates side by side.

import matplotlib.pyplot as plt

results = search.cv_results_
names = ["raw TNF", "canonical k-mers", "bundled model"]
scores = np.reshape(results["mean_test_score"], (3, 3))  # parameters in alphabetical order
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for column, name in enumerate(names):
    axis.plot([0.05, 0.5, 5.0], scores[:, column], marker="os^"[column], label=name)
axis.set(xscale="log", xlabel="C of the logistic regression", ylabel="accuracy in cross-validation")
axis.legend()
plt.show()
