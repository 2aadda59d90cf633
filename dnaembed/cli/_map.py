"""``dnaembed map``: sequences as points, those of like composition side by side."""

from __future__ import annotations

import logging
from math import isfinite
from typing import Annotated, Any, Literal

from typer import Option

from ._app import command
from ._options import MAP_FILE, Embedding, Reading, Reads, group, option

logger = logging.getLogger("dnaembed")

_EXAMPLES = """\
  dnaembed map reads.fastq.gz -o map.png
  dnaembed map reads.fastq.gz -o map.html --color gc       names under the mouse
  dnaembed map reads.fastq.gz -o map.pdf --labels known.csv --color genus
  dnaembed map contigs.fasta -o map.svg --labels bins/contigs.tsv
  dnaembed map reads.fastq.gz -o map.tsv --method pca      coordinates
"""


@group()
class Map:
    """What is drawn, and in which colours."""

    method: Literal["umap", "tsne", "pca"] = option("How two dimensions are made.", default="umap")
    labels: str | None = option("Colour by this table of identifiers and labels.", "LABELS.tsv")
    id_column: str | None = option("Of the labels, by its header (default: the first).", "NAME")
    color: str | None = option(
        "length, gc or a column of the labels (default: their second).", "NAME"
    )

    def table(self) -> dict[str, Any] | None:
        """Return the label of each identifier; numbers if none is an integer or a word."""
        from ..io import read_labels
        from ..io._tables import is_number

        measured = self.color is not None and self.color.lower() in ("length", "gc")
        if self.labels is None:
            if self.color is not None and not measured:
                raise ValueError(f"--color {self.color} needs --labels, a table that has it.")
            return None
        column = None if measured else self.color
        table = read_labels(self.labels, id_column=self.id_column, label_column=column)
        values = table.values()
        are_integers = all(value.lstrip("-").isdigit() for value in values)
        if are_integers or not all(is_number(value) and isfinite(float(value)) for value in values):
            return dict(table)
        return {identifier: float(value) for identifier, value in table.items()}


@command(_EXAMPLES)
def map_(
    reads: Reads,
    output: Annotated[
        str,
        Option(
            *("--output", "-o"),
            metavar="OUT.png",
            help=".png, .pdf, .svg; .html, a page that shows names; or .tsv, .csv, .parquet; "
            "- is standard output, as a .tsv.",
        ),
        MAP_FILE,
    ],
    drawing: Map,
    embedding: Embedding,
    reading: Reading,
) -> None:
    """Draw a map of sequences.

    One point per sequence, its area by length; sequences of like composition lie side by side. Of
    more than 20,000 sequences, so many are drawn at most, evenly spaced in the input.
    """
    import numpy as np

    from ..io._tables import TABLES, by_first_word, labels_of, open_table
    from ..plotting import save_figure
    from ..utils._atomic import format_of
    from ._report import Sequences, write_page

    table, found, embedder = drawing.table(), Sequences(), embedding.embedder()
    for ids, sequences in reading.chunks(reads):
        found.add(ids, embedding.rows(embedder, ids, sequences), sequences)
    ids = found.columns["id"]
    label = {"length": "length", "gc": "GC"}.get((drawing.color or "").lower())
    if table is not None:
        known = by_first_word(ids, table)
        if not any(i in known for i in ids):
            labels_of(ids, table, where=str(drawing.labels))  # raises, and says why
        nothing = np.nan if isinstance(next(iter(table.values())), float) else "unknown"
        is_new = label is None and drawing.color not in (None, *found.columns)
        name = str(drawing.color) if is_new else "label"
        found.columns[name] = [known.get(i, nothing) for i in ids]
        label = label or name
    display = found.display(label, method=drawing.method, random_state=embedding.seed)
    suffix = format_of(output, MAP_FILE[1])
    if suffix == ".html":
        write_page(output, "Map", [found.map(display)])
    elif suffix in TABLES:
        names = [name for name in found.columns if name != "id"]
        with open_table(output, ["id", "x", "y", *names]) as write_rows:
            columns = [found.drawn("id"), *display.coordinates.T, *map(found.drawn, names)]
            write_rows(zip(*columns, strict=True))
    else:
        save_figure(display.plot().figure_, output)
    logger.info("Wrote %s: %d points.", output, len(display.coordinates))
