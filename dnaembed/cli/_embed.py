"""``dnaembed embed`` and ``merge``: sequences in, numbers out, in bounded memory."""

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument

from ._app import OUTPUT_FILE, REQUIRED, command, flag, group, logger, option
from ._options import Embedding, Reading, Reads, naming

_EXAMPLES = """\
  dnaembed embed reads.fastq.gz -o reads.npy           reads.npy and reads.ids.txt
  dnaembed embed reads.fastq.gz -o reads.npy           again, after a stop: resumes
  dnaembed embed lane1.fq.gz lane2.fq.gz -o reads.tsv  a table with identifiers
  zcat reads.fq.gz | dnaembed embed - -o reads.npy     from standard input
  dnaembed embed contigs.fa -o contigs.npy --model zhihan1996/DNABERT-S
  dnaembed embed reads.fq.gz -o part3.npy --shard 3/64 one of 64 machines; see: merge
"""


_MERGE_EXAMPLES = """\
  dnaembed embed reads.fq.gz -o part1.npy --shard 1/2   on one machine
  dnaembed embed reads.fq.gz -o part2.npy --shard 2/2   on another
  dnaembed merge reads.npy part1.npy part2.npy          what a single run gives
"""


@group()
class File:
    """What the file holds."""

    output: str = option(
        ".npy (with identifiers in OUT.ids.txt), .tsv, .csv or .parquet; it appears complete; - is "
        "standard output, as a .tsv.",
        *("OUT.npy", "--output", "-o"),
        default=REQUIRED,
        mark=OUTPUT_FILE,
    )
    dtype: Literal["float32", "float16"] = option("Precision of a .npy.", default="float32")
    shard: str | None = option("Embed part I of N, into a .npy; see dnaembed merge.", "I/N")
    restart: bool = flag("Start again, and delete what an earlier run left.")


@command(_EXAMPLES)
def embed(reads: Reads, file: File, embedding: Embedding, reading: Reading) -> None:
    """Write one embedding per sequence.

    One row of numbers per sequence, in the order of the input. Files of any size: sequences are
    read and written piece by piece. A .npy that was interrupted is resumed when the same command is
    given again.
    """
    from ..io._readers import sequence_files

    output = file.output
    is_array = Path(output).suffix.lower() == ".npy"
    if not is_array and (file.shard is not None or file.dtype != "float32"):
        raise ValueError(f"--shard and --dtype need an output that ends in .npy, not {output}.")
    for source in sequence_files(reads):
        if source != "-":
            Path(str(source)).stat()  # raises, before anything heavier is imported
    # What the embedder does, without scikit-learn, which takes a second or two to import.
    from ..backbones import shared_backbone
    from ..embedding._engine import EmbedOptions, ModelName, embed_sequences
    from ..embedding._files import embed_file
    from ..io import open_embeddings

    name, device = ModelName(embedding.model), embedding.device
    backbone = shared_backbone(**vars(name), device=device, dtype="auto")
    both = embedding.strand == "both"
    options = EmbedOptions(backbone.window_size, both, model=embedding.model)
    if is_array:
        how: Any = {"dtype": file.dtype, "shard": file.shard, "resume": not file.restart}
        how |= {"n_jobs": embedding.jobs, "scale_rows": False} | reading.settings
        embed_file(backbone, reads, output, options, **how)
        return
    n_rows = 0
    with open_embeddings(output) as writer:
        for ids, sequences in reading.chunks(reads):
            with naming(ids):
                rows = embed_sequences(
                    backbone, sequences, options, n_jobs=embedding.jobs, name=name, device=device
                )
                writer.write(ids, rows)
            n_rows += len(ids)
            logger.info("%s sequences embedded.", f"{n_rows:,}")
    logger.info("Wrote %s: %s x %d.", Path(output), f"{n_rows:,}", backbone.embedding_size)


@command(_MERGE_EXAMPLES)
def merge(
    output: Annotated[
        str,
        Argument(metavar="OUT.npy", help="As embed writes it; appears when complete."),
        OUTPUT_FILE,
    ],
    parts: Annotated[list[str], Argument(metavar="PART.npy", help="In any order.")],
) -> None:
    """Join the parts that embed --shard wrote.

    The result is in the order of the input. All parts must be there, of the same sequences, model
    and settings.
    """
    from ..io import merge_shards

    n = merge_shards(parts, output)
    logger.info("Wrote %s: %s rows.", output, f"{n:,}")
