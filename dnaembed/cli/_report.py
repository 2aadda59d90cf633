"""``dnaembed map``; and pages that need nothing but themselves: maps, reports of what was found."""

from __future__ import annotations

from html import escape as quoted
from importlib.metadata import version
from importlib.resources import files
from platform import python_version
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from ..utils._messages import escape
from ._app import COMMAND_LINE, command, group, logger, option
from ._options import MAP_FILE, PAGE_FILE, Embedding, Reading, Reads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import pandas as pd

    from ..plotting import EmbeddingDisplay

_EXAMPLES = """\
  dnaembed map reads.fastq.gz -o map.png
  dnaembed map reads.fastq.gz -o map.html --color gc       names under the mouse
  dnaembed map reads.fastq.gz -o map.pdf --labels known.csv --color genus
  dnaembed map contigs.fasta -o map.svg --labels bins/contigs.tsv
  dnaembed map reads.fastq.gz -o map.tsv --method pca      coordinates
"""
_HELP = (
    "A picture (.png, .pdf, .svg), a page (.html) or a table (.tsv, .csv, .parquet; -: as .tsv)."
)
Output = Annotated[str, Option("--output", "-o", metavar="OUT.png", help=_HELP), MAP_FILE]

MOST_POINTS = 20_000
_MOST_CALLS = 1000
_SIZE, _LETTERS = 640, 16


@group()
class Reporting:
    """Whether a page is written."""

    report: str | None = option("Also write a page of results.", "PAGE.html", mark=PAGE_FILE)


def text(value: object) -> str:
    """Return a text that is safe in a page, whatever it holds."""
    return quoted(escape(str(value)))


def write_page(path: str, title: str, parts: Iterable[str]) -> None:
    """Write a page that ends with the command and the versions of what it ran on."""
    from ..utils._atomic import open_output

    names = ("dnaembed", "numpy", "scikit-learn", "torch")
    versions = [f"{name} {version(name)}" for name in names] + [f"Python {python_version()}"]
    fields = {"title": text(title), "body": "\n".join(parts), "versions": text(", ".join(versions))}
    # Nothing in the page can run or load anything, whatever the names in it are.
    page = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    with open_output(path) as file:
        file.write(page.substitute(fields, command=text(COMMAND_LINE.get())))


class Sequences:
    """What is known of some sequences, piece by piece; rows of at most 20,000, evenly spaced."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {"id": []}
        self._step, self._places, self._rows = 1, [], []  # type: ignore[var-annotated]

    def add(
        self, ids: Sequence[str], rows: np.ndarray, sequences: Sequence[str] = (), **more: Any
    ) -> None:
        """Take in a piece; `more` has further columns by name."""
        import numpy as np

        from .._sequences import gc_and_known_bases

        n = len(self.columns["id"])
        for place in range(n + -n % self._step, n + len(ids), self._step):
            self._places.append(place)
            self._rows.append(rows[place - n].copy())
        while len(self._places) > MOST_POINTS:
            self._step *= 2
            self._places, self._rows = self._places[::2], self._rows[::2]
        more["id"] = ids
        if sequences:
            more["length"] = list(map(len, sequences))
            gc_bases, known_bases = gc_and_known_bases(sequences)
            more["GC"] = gc_bases / np.maximum(known_bases, 1)
        for name, values in more.items():
            self.columns.setdefault(name, []).extend(values)

    def drawn(self, name: str) -> Any:
        """Return a column of the sequences of the map; None if nothing is known."""
        import numpy as np

        values = self.columns.get(name)
        return None if values is None else np.array([values[i] for i in self._places])

    def display(self, label: str | None = None, **how: Any) -> EmbeddingDisplay:
        """Return the map of the sequences, not yet drawn; `how` is passed to `project`."""
        import numpy as np

        from ..plotting import EmbeddingDisplay, project

        n = len(self.columns["id"])
        if len(self._places) < n:
            shown = f"{len(self._places):,} of {n:,}"
            logger.info("The map has %s sequences, evenly spaced.", shown)
        if how.get("method") in ("umap", "tsne"):
            logger.info("Drawing the map.")
        points, names = project(np.array(self._rows), **how)
        what: Any = {"lengths": self.drawn("length"), "names": names, "label_name": label or ""}
        labels: Any = None if label is None else self.drawn(label)
        labels = labels.astype(float) if label == "length" else labels
        return EmbeddingDisplay(points, labels, **what)

    def map(self, display: EmbeddingDisplay) -> str:
        """Return a map as SVG, on which each point says what is known of its sequence."""
        import numpy as np
        from matplotlib.colors import Normalize, to_hex

        from ..plotting import color_scale, groups_of, place_names, point_areas

        points, labels = display.coordinates, np.asarray(display.labels)
        is_scale = labels.dtype.kind == "f"
        groups = groups_of(np.full(len(points), "") if is_scale or not labels.shape else labels)
        order = np.concatenate([np.flatnonzero(one.members) for one in groups])
        legend = [(one.name, one.color) for one in groups if one.name and one.is_listed]
        colors: Any = np.empty(len(points), object)
        for one in groups:
            colors[one.members] = one.color
        if is_scale:
            ends: Any = [np.nanmin(labels), np.nanmax(labels)]
            shades = color_scale()(Normalize(*ends)(np.append(labels, ends)))
            *colors, first, last = map(to_hex, shades)
            said = [f"{display.label_name} {end:.4g}" for end in ends]
            legend = list(zip(said, (first, last), strict=True))
        scale = (_SIZE - 40) / max(float(np.ptp(points, axis=0).max()), 1e-9)
        x, y = (20 + scale * (points - points.min(axis=0)) * [1, -1]).T
        y -= y.min() - 20
        lengths = display.lengths
        radii = np.full(len(x), 3.0) if lengths is None else np.sqrt(point_areas(lengths) / 2)
        columns = {name: self.drawn(name) for name in self.columns}
        forms = {name: ".3f" if c.dtype.kind == "f" else "" for name, c in columns.items()}
        circles = []
        for i in order.tolist():
            own = {name: c[i] for name, c in columns.items() if c[i] == c[i]}  # NaN: there is none
            title = "\n".join(text(f"{name}: {own[name]:{forms[name]}}") for name in own)
            place = f'cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="{radii[i]:.1f}" fill="{colors[i]}"'
            circles.append(f"<circle {place}><title>{title}</title></circle>")
        keys = (f'<li><span style="color:{c}">●</span>{text(name)}</li>' for name, c in legend)
        sheet = np.array([_SIZE, y.max() + 20])
        for name, _, at in place_names(groups, np.stack([x, y], axis=1), sheet, _LETTERS):
            circles.append(f'<text x="{at[0]:.0f}" y="{at[1]:.0f}">{text(name)}</text>')
        box = f'<svg viewBox="0 0 {_SIZE} {sheet[1]:.0f}" role="img" fill-opacity=".8">'
        return "\n".join([box, *circles, "</svg><ul>", *keys, "</ul>"])

    def write_report(self, path: str, title: str, label: str, sure: str) -> None:
        """Write a page on groups, by the names of the columns of label and of confidence."""
        import pandas as pd

        from ..plotting import NOTHINGS

        frame = pd.DataFrame(self.columns)
        wanted = {
            "sequences": ("id", "size"), "bases": ("length", "sum"),
            "median length": ("length", "median"), "mean GC": ("GC", "mean"),
            "SD of GC": ("GC", "std"),
            f"mean {sure}": (sure, "mean"), f"least {sure}": (sure, "min"),
        }  # fmt: skip
        known = {name: how for name, how in wanted.items() if how[0] in frame}
        sizes = frame.groupby(frame[label].replace({-1: f"no {label}"})).agg(**known)
        sizes = sizes.sort_values("sequences", ascending=False, kind="stable").reset_index()
        is_none = frame[label].astype(str).isin(NOTHINGS)
        if "median length" in sizes:
            sizes["median length"] = sizes["median length"].astype(int)
        n_groups = frame[label][~is_none].nunique()
        groups, none = ("species", "unknown") if label == "species" else (f"{label}s", "in none")
        summary = f"{len(frame):,} sequences, {n_groups:,} {groups}, {is_none.sum():,} {none}."
        shares = [_histogram(c, frame[c]) for c in ("length", "GC", sure) if c in frame]
        parts = [f"<p>{summary}</p>", '<div class="side"><div>']
        parts += [self.map(self.display(label, method="umap")), "</div><div>", *shares]
        parts += ["</div></div>", f"<h2>{groups.capitalize()}</h2>", _table(sizes)]
        if "runner-up" in frame:
            few = frame.sort_values(sure, kind="stable").head(_MOST_CALLS)
            which = f"The {len(few):,} least sure calls" if len(few) < len(frame) else "Calls"
            parts += [f"<h2>{which}</h2><p>The least sure call comes first.</p>", _table(few)]
        write_page(path, title, parts)


def _table(frame: pd.DataFrame) -> str:
    import pandas as pd

    how: Any = {"index": False, "border": 0, "na_rep": "", "float_format": "{:.3f}".format}
    how["formatters"] = dict.fromkeys(frame.select_dtypes("int"), "{:,}".format)
    with pd.option_context("display.max_colwidth", None):
        return frame.to_html(**how)  # escapes


def _histogram(name: str, values: pd.Series) -> str:
    """Return how many sequences have which value, as bars that say it under the mouse."""
    import numpy as np

    values = values.dropna()
    if values.empty:
        return ""
    least, most = values.min(), values.max()
    form, by_ratios = ",.0f" if most > 100 else ".3g", 0 < least < most / 20
    edges: Any = (np.geomspace if by_ratios else np.linspace)(least, most, 31)
    counts, edges = np.histogram(values, edges if most > least else 30)
    bars = ""
    for i, (n, low, high) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True)):
        height, said = 100 * n / counts.max(), f"{low:{form}} to {high:{form}}: {n}"
        place = f'x="{10 * i}" y="{100 - height:.1f}" width="9" height="{height:.1f}"'
        bars += f"<rect {place}><title>{said}</title></rect>"
    said = f"{text(name)} from {least:{form}} to {most:{form}}, median {values.median():{form}}"
    said += ", on a logarithmic scale" if by_ratios else ""
    figure = f'<svg viewBox="0 0 300 100" role="img" fill="#3988b8">{bars}</svg>'
    return f"<figure>{figure}<figcaption>{said}</figcaption></figure>"


@group()
class Map:
    """What is drawn, and in which colours."""

    method: Literal["umap", "tsne", "pca"] = option("How to project; pca is fast.", default="umap")
    labels: str | None = option("Colour by this table of identifiers and labels.", "LABELS.tsv")
    id_column: str | None = option("Header of the identifiers (default: the first column).", "NAME")
    color: str | None = option(
        "length, gc, or a header of LABELS, if it has more than two columns.",
        *("NAME", "--color", "--label-column"),
    )

    def table(self) -> dict[str, Any] | None:
        """Return the label of each identifier; numbers unless all are integers or one is none."""
        import numpy as np
        import pandas as pd

        from ..io import read_labels

        measured = self.color is not None and self.color.lower() in ("length", "gc")
        if self.labels is None:
            if self.color is not None and not measured:
                raise ValueError(f"--color {self.color} needs --labels, a table that has it.")
            return None
        column = None if measured else self.color
        table = pd.Series(read_labels(self.labels, id_column=self.id_column, label_column=column))
        numbers = pd.to_numeric(table, errors="coerce")
        on_a_scale = numbers.dtype.kind == "f" and np.isfinite(numbers).all()
        return (numbers if on_a_scale else table).to_dict()


@command(_EXAMPLES)
def map_(
    reads: Reads, output: Output, drawing: Map, embedding: Embedding, reading: Reading
) -> None:
    """Draw a map of sequences.

    One point per sequence, its area by length; sequences of like composition lie side by side. Of
    more than 20,000 sequences, every n-th is taken, so that at most so many are drawn.
    """
    import numpy as np

    from ..io._tables import TABLES, by_first_word, labels_of, open_table
    from ..plotting import save_figure
    from ..utils._atomic import format_of

    table, found = drawing.table(), Sequences()
    for ids, sequences in reading.chunks(reads):
        found.add(ids, embedding.rows(ids, sequences), sequences)
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
    logger.info("Wrote %s: %s points.", output, f"{len(display.coordinates):,}")
