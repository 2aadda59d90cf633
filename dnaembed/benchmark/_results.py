"""`BenchmarkResult`: tidy scores, their summary, and the files that they go into."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from ..utils._atomic import atomic_output

_LIBRARIES = ("dnaembed", "numpy", "scikit-learn", "scipy", "torch", "transformers", "numba")

#: Scores that a table shows unless asked otherwise, as "protocol score", and what they are.
MAIN_SCORES = {
    "clustering ari": "K-means, adjusted Rand index",
    "clustering nmi": "K-means, mutual information",
    **{f"few_shot f1@{n}": f"macro F1 from labelled reads: {n}" for n in (1, 2, 5, 10)},
    **{f"binning f1>{f1}": f"species in a K-medoid bin, F1 > {f1}" for f1 in (0.5, 0.9)},
    "binning genomes>50%<10%": "bins > 50 % complete, < 10 % foreign",
    "retrieval species": "nearest read is of the species",
    "embedding mb_per_second": "Mbp per second",
}
_SMALLER_IS_BETTER = {"seconds"}
_NO_RANKING = {"columns", "binned", "binned_bp"}
_KEYS = ["embedder", "set", "protocol", "score"]


@dataclass(frozen=True)
class BenchmarkResult:
    """Scores of embedders on sets; made by `benchmark`.

    Attributes
    ----------
    records : list of dict
        One per value: ``embedder``, ``set``, ``protocol``, ``score``, ``seed`` (number of the draw
        of the set) and ``value``.
    about : dict
        Versions, options, embedders and sets.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "clustering", "score": "ari"}
    >>> result = BenchmarkResult([record | {"seed": 0, "value": 0.25}])
    >>> result.mean("TNF", "soil", "clustering ari")
    0.25
    """

    records: list[dict[str, Any]]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def embedders(self) -> list[str]:
        """Names of the embedders, in order."""
        return list(dict.fromkeys(record["embedder"] for record in self.records))

    @property
    def sets(self) -> list[str]:
        """Names of the sets, in order."""
        return list(dict.fromkeys(record["set"] for record in self.records))

    @property
    def scores(self) -> list[str]:
        """Names of the scores, each with its protocol, in order."""
        return list(dict.fromkeys(f"{r['protocol']} {r['score']}" for r in self.records))

    def values(self, embedder: str, set_name: str, score: str) -> list[float]:
        """Return the values of a score, such as ``"clustering ari"``, one per seed."""
        wanted = (embedder, set_name, *score.split(" ", 1))
        return [r["value"] for r in self.records if tuple(r[key] for key in _KEYS) == wanted]

    def mean(self, embedder: str, set_name: str, score: str) -> float:
        """Return the mean of `values`; nan if there are none, KeyError for an unknown score."""
        if score not in self.scores:
            raise KeyError(f"{score!r} is none of {self.scores}")
        values = self.values(embedder, set_name, score)
        return float(np.mean(values)) if values else float("nan")

    def to_frame(self, *, summary: bool = False) -> Any:
        """Return the records as a pandas DataFrame, or their ``mean``, ``std`` and ``n``."""
        import pandas as pd

        frame = pd.DataFrame(self.records, columns=[*_KEYS, "seed", "value"])
        if not summary:
            return frame
        values = frame.groupby(_KEYS, sort=False)["value"]
        return values.agg(["mean", "std", "count"]).rename(columns={"count": "n"}).reset_index()

    def to_csv(self, path: str | os.PathLike[str], *, summary: bool = False) -> None:
        """Write the records, or their means and spreads, as a CSV file."""
        frame = self.to_frame(summary=summary)
        _write(path, frame.to_csv(index=False, na_rep="nan", lineterminator="\n"))

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything, with versions, options and digests of the data; nan becomes null."""
        about = json.dumps(_without_nan(self.about), indent=1)
        # One record per line: differences between two runs can be read.
        records = ",\n".join(json.dumps(_without_nan(r)) for r in self.records)
        _write(path, f'{{"about": {about},\n"records": [\n{records}\n]}}\n')

    def to_markdown(self, scores: Sequence[str] | None = None) -> str:
        """Return a table for each set, one row per embedder, the best of each column in bold.

        `scores` come with their protocol (``"clustering ari"``) or without (``"ari"``); None: the
        main ones. A cell has the mean, and the standard deviation where there are several seeds.
        """
        blocks = []
        for set_name in self.sets:
            header, rows = self.table(set_name, scores)
            lines = [f"**{set_name}**", "", _markdown_row(header), "|" + "---|" * len(header)]
            for row in rows:
                lines.append(_markdown_row(f"**{cell}**" if best else cell for cell, best in row))
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def table(
        self, set_name: str, scores: Sequence[str] | None = None
    ) -> tuple[list[str], list[list[tuple[str, bool]]]]:
        """Return the header of a set's table, and its rows: texts, and whether each is the best."""
        of_set = (r for r in self.records if r["set"] == set_name)
        present = dict.fromkeys(f"{r['protocol']} {r['score']}" for r in of_set)
        if scores is None:
            shown = [s for s in MAIN_SCORES if s in present]
        else:
            shown = [s for s in present if s in scores or s.partition(" ")[2] in scores]
        rows = [[(embedder, False)] for embedder in self.embedders]
        for score in shown:
            values = [self.values(embedder, set_name, score) for embedder in self.embedders]
            means = {float(np.mean(some)) for some in values if some}
            name = score.partition(" ")[2]
            is_ranked = len(means) > 1 and name not in _NO_RANKING
            best = (min if name in _SMALLER_IS_BETTER else max)(means) if is_ranked else None
            for row, some in zip(rows, values, strict=True):
                row.append((_cell(score, some), bool(some) and float(np.mean(some)) == best))
        return ["embedder", *shown], rows


def _cell(score: str, values: Sequence[float]) -> str:
    """Return mean and spread with as many digits as are worth reading."""
    if not values:
        return ""
    mean = float(np.mean(values))
    is_count = score.startswith("binning") and ">" in score
    digits = 1 if is_count or mean >= 10 else 3
    if len(values) > 1:
        return f"{mean:.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
    return f"{mean:.{0 if is_count else digits}f}"


def versions() -> dict[str, str]:
    """Return the versions of what scores may depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    return found | {name: version(name) for name in _LIBRARIES}


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _without_nan(value: Any) -> Any:
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def _write(path: str | os.PathLike[str], text: str) -> None:
    with atomic_output(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
