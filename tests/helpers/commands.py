"""What the tests of the command line share: input files, and a command that must fail."""

import numpy as np

from dnaembed.cli import main


def fasta(path, ids, sequences):
    """Write a FASTA file; return its path as text."""
    path.write_text("".join(f">{i} text\n{s}\n" for i, s in zip(ids, sequences, strict=True)))
    return str(path)


def species_like(n_each, low=300, high=400, seed=0):
    """Return reads of two made-up species that any embedder can tell apart."""
    rng = np.random.default_rng(seed)
    weights = [[0.4, 0.1, 0.1, 0.4]] * n_each + [[0.1, 0.4, 0.4, 0.1]] * n_each
    return ["".join(rng.choice(list("ACGT"), rng.integers(low, high), p=p)) for p in weights]


def fails(capsys, *argv):
    """Run a command that must fail with one line; return the line."""
    assert main(list(argv)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if "error:" in line]
    assert lines == err.rstrip().splitlines()[-1:]
    assert "Traceback" not in err
    return lines[0]
