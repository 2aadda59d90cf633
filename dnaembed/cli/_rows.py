"""What ``cluster`` and ``bin`` share: embeddings from a file, clusters that are kept for later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._options import OUTPUT_FILE, group, logger, option

if TYPE_CHECKING:
    import numpy as np

    from ..embedding._mixin import EmbeddingSource


@group("Scale")
class Scale:
    """Embeddings made before, and groups for new sequences."""

    embeddings: str | None = option(
        "Take rows that dnaembed embed wrote, by their identifiers.", "ROWS.npy"
    )
    save: str | None = option(
        "Keep the groups there, as safetensors, for --assign.", "FILE", mark=OUTPUT_FILE
    )
    assign: str | None = option(
        "Sort into the groups of an earlier --save, found with the same model.", "FILE"
    )

    def refuse_with_assign(self, **given: object) -> None:
        """Raise if ``--assign`` comes with an option about how groups are found."""
        for name, value in {"save": self.save, **given}.items():
            if self.assign is not None and value is not None:
                without = f"without --{name.replace('_', '-')}"
                raise ValueError(f"--assign {self.assign} takes groups as saved, {without}.")


def open_rows(path: str) -> tuple[list[str], np.ndarray, EmbeddingSource | None]:
    """Open embeddings that ``dnaembed embed`` wrote, left on disk where the format allows it."""
    import numpy as np

    from ..io import SequenceFileError, read_embeddings
    from ..species._saved import source_of_file
    from ..utils._messages import shorten
    from ..utils._rows import row_blocks

    ids, rows = read_embeddings(path, mmap_mode="r")
    for block in row_blocks(len(rows), rows.itemsize * rows.shape[1]):
        finite = np.isfinite(rows[block]).all(axis=1)
        if not finite.all():
            row = block.start + int(finite.argmin())
            which = f"the embedding of {shorten(ids[row])!r} (row {row + 1})"
            raise SequenceFileError(f"{path}: {which} is not finite.")
    logger.info("%s embeddings of %d columns.", f"{len(rows):,}", rows.shape[1])
    return ids, rows, source_of_file(path, rows)


def rows_of(
    ids: Sequence[str], row_ids: Sequence[str], rows: np.ndarray, *, where: str
) -> np.ndarray:
    """Return the rows of some identifiers, in their order."""
    from ..io import SequenceFileError
    from ..io._tables import in_order_of

    place = {identifier: i for i, identifier in enumerate(row_ids)}
    if len(place) < len(row_ids):
        raise SequenceFileError(f"{where}: two rows have one identifier.")
    return rows[in_order_of(ids, place, where=where, what="embedding")]
