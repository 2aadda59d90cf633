"""Fuzz one target, guided by coverage: python -m tests.fuzz TARGET [FOLDER] [-runs=N ...].

Needs the extra ``fuzz`` (atheris). Options are those of libFuzzer: ``-runs=100000``,
``-max_total_time=3600``, ``-seed=1``. Inputs that reach new code are kept in FOLDER, a temporary
one if none is given; an input that fails is written to the current folder, and

    python -m tests.fuzz TARGET crash-...

runs it again. ``python -m tests.fuzz --keep TARGET FOLDER`` adds the smallest set of inputs that
covers what FOLDER covers (after ``-merge=1``) to the committed corpus. ``--list`` names the
targets.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

# Compiled by numba, which cannot read instrumented bytecode.
_COMPILED = (
    "composition._counting",
    "datasets._read_errors",
    "datasets._genomes",
    "training._pairs",
    "species._neighbors",
)


def _fuzz(name, arguments):
    import atheris

    compiled = [f"dnaembed.{module}" for module in _COMPILED]
    with atheris.instrument_imports(include=["dnaembed"], exclude=compiled):
        from tests.fuzz import targets

    target = targets.TARGETS[name]
    folders = [argument for argument in arguments if not argument.startswith("-")]
    if not folders or Path(folders[0]).is_dir():
        seeds = Path(tempfile.mkdtemp(prefix="dnaembed-corpus-"))
        for i, content in enumerate(targets.corpus(name)):
            (seeds / f"{i:04d}").write_bytes(content)
        arguments = [*arguments, str(seeds)]
    defaults = [f"-max_len={target.max_len}", "-timeout=60", "-rss_limit_mb=6000"]
    defaults += ["-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *defaults, *arguments], target.run)
    atheris.Fuzz()


def _keep(name, folder):
    from tests.fuzz import targets

    found = {file.read_bytes() for file in Path(folder).iterdir()}
    kept = (found | set(targets.corpus(name))) - set(targets.TARGETS[name].seeds())
    rows = sorted(base64.b64encode(content).decode() for content in kept)
    file = targets.CORPUS / f"{name}.json"
    file.write_text(json.dumps(rows, indent=0) + "\n")
    print(f"{file}: {len(rows)} inputs, {file.stat().st_size} bytes")


def main(arguments):
    """Run what the arguments ask for."""
    match arguments:
        case ["--list"]:
            from tests.fuzz import targets

            for name, target in targets.TARGETS.items():
                print(f"{name:20} {target.run.__doc__}")
        case ["--keep", name, folder]:
            _keep(name, folder)
        case [name, *rest] if not name.startswith("-"):
            _fuzz(name, rest)
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
