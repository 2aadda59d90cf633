"""What comes in from outside, and what must hold whatever it is.

A target takes bytes, hands them to the library as a file, a sequence or an argument, and raises if
the library does anything else than give the right result or raise a documented error with a message
that says what is wrong. The seeds are where the fuzzer starts from.
"""

import base64
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save as save_numpy
from safetensors.torch import save

from dnaembed import SpeciesClusterer, check_sequences, normalize_sequence
from dnaembed import backbones as nets
from dnaembed.backbones.dnabert._tokenizer import load_tokenizer
from dnaembed.cli import main
from dnaembed.composition import kmer_counts
from dnaembed.io import (
    SequenceFileError,
    labels_of,
    merge_shards,
    read_abundance,
    read_embeddings,
    read_labels,
    read_sequences,
    write_embeddings,
)
from dnaembed.io._embeddings import manifest_path
from dnaembed.io._parts import PartedEmbeddings
from dnaembed.species import _saved
from tests.helpers import naive, strategies, zstd
from tests.helpers.random_models import random_dnabert, random_profile

CORPUS = Path(__file__).parent / "corpus"
_LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from outside, and raises if the library does a wrong thing."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]  # to start from
    runs: int  # in the bounded run of the tests
    max_len: int = 400


TARGETS: dict[str, Target] = {}


def target(seeds, *, runs, max_len=400):
    def register(run):
        TARGETS[run.__name__] = Target(run, seeds, runs, max_len)
        return run

    return register


def corpus(name):
    """Return the inputs that are kept for a target: its seeds, and what earlier runs found."""
    file = CORPUS / f"{name}.json"
    kept = json.loads(file.read_text()) if file.exists() else []
    return TARGETS[name].seeds() + [base64.b64decode(text) for text in kept]


@contextlib.contextmanager
def explained(*kinds, names=""):
    """Let an error of these kinds pass if its message is one that helps."""
    try:
        yield
    except kinds as error:
        message = str(error)
        assert message.strip(), repr(error)
        assert "\n" not in message, message
        assert message.isprintable(), repr(message)
        assert len(message) < _LONGEST_MESSAGE, message
        assert names in message, message


@cache
def _folder():
    return Path(tempfile.mkdtemp(prefix="dnaembed-fuzz-"))


class _Named(io.BytesIO):
    """A file that gives a few bytes at a time."""

    name = "reads"

    def read(self, size=-1):
        return super().read(min(size, 7))


# Sequence files

FASTA = b">r1 first\nACGT\nacgu\n>r2\nGGN-.\n"
FASTQ = b"@r1 first\nACGTACGT\n+\nIIIIIIII\n@r2\nGGG\n+r2\nIII\n"
_FILES = [
    FASTA, FASTQ, FASTA.replace(b"\n", b"\r\n"), FASTQ.replace(b"\n", b"\r\n"),
    FASTA.replace(b"\n", b"\r"), b"\xef\xbb\xbf" + FASTA, b"\n \n" + FASTQ, b"# comment\n" + FASTA,
    FASTQ[:30] + b"\r\n \n" + FASTQ[30:],
    FASTA + FASTQ, FASTQ + FASTA, FASTQ[:-5], b">a\n\n>b\nACG*\n", b">a\nA\n>a\nC\n",
    b">caf\xe9 \xc3\xa9\nAC\x00\n", b"@a\nAC\n+\nI\xff\n", b"@HD\tVN:1.6\n", b"BAM\x01",
    ">a\nACGT\n".encode("utf-16"), b"",
]  # fmt: skip


def _read(data, **options):
    """Return the records of a file; None if it was refused as it should be."""
    found = None
    with explained(SequenceFileError, names="reads"):
        found = read_sequences(_Named(data), **options)
    return None if found is None else list(zip(*found, strict=True))


@target(lambda: [bytes([0]) + file for file in _FILES], runs=30_000)
def readers(data):
    """Plain files: the records of a parser that is as plain as can be, or an error."""
    options = data[0] if data else 0
    skip_empty, duplicates = bool(options & 1), "allow" if options & 2 else "error"
    found = _read(data[1:], skip_empty=skip_empty, duplicate_ids=duplicates)
    if found is None:
        return
    expected = naive.parse(data[1:])
    if skip_empty:
        expected = [record for record in expected if record[1] is not None]
    assert found == expected, (found, expected)
    assert duplicates == "allow" or len({i for i, _ in found}) == len(found)


# How to pack and how to unpack in one go.
_FORMS = [
    (lambda data: gzip.compress(data, mtime=0), gzip.decompress),
    (bz2.compress, bz2.decompress),
    (lzma.compress, lzma.decompress),
    (zstd.compress, zstd.decompress),
]
_MAGIC = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"]


def _compressed_seeds():
    whole = [bytes([0]) + pack(file) for file in (FASTA, FASTQ) for pack, _ in _FORMS]
    two = [bytes([0]) + pack(b">a\nAC\n") + pack(b">b\nGG\n") for pack, _ in _FORMS]
    ours = [bytes([1 + 2 * i, cut]) + FASTA for i in range(4) for cut in (0, 9)]
    return whole + two + ours


@target(_compressed_seeds, runs=15_000)
def compressed_readers(data):
    """Compressed files: what the standard library unpacks, all of it, or an error."""
    if len(data) < 2:
        return
    if data[0] & 1:  # compressed here, whole or cut off, so that checksums are right
        pack, _ = _FORMS[data[0] >> 1 & 3]
        content, packed = data[2:], pack(data[2:])
        if data[1]:
            cut = _read(packed[: -min(data[1], len(packed) - 1)])
            assert cut is None, "a truncated file was read"
        if not content.startswith(tuple(_MAGIC)):  # what is packed twice is unpacked once
            assert _read(packed) == _read(content)
        return
    found = _read(data[1:])
    form = next((i for i, magic in enumerate(_MAGIC) if data[1:].startswith(magic)), None)
    if found is not None and form is not None:
        assert found == _read(_FORMS[form][1](data[1:]))


def _parts_seeds():
    with PartedEmbeddings(_folder() / "seed.npy", {}, n_columns=2, dtype=np.dtype("f4")) as output:
        part = output.write(0, ["a"], np.ones((1, 2)), "input")
        file = (output.folder / "00000000.part").read_bytes()
        manifest = (output.folder / "manifest.json").read_bytes()
        output.join([part], "input")
    shard = manifest_path(_folder() / "seed.npy").read_bytes().replace(b"{}", b'{"shard": "1/1"}')
    return file, manifest, shard


@target(lambda: [_parts_seeds()[0]], runs=10_000)
def parts(data):
    """A part of earlier work: what was written, or it is made again."""
    with PartedEmbeddings(_folder() / "parts.npy", {}, n_columns=2, dtype=np.dtype("f4")) as output:
        part = output.write(0, ["a"], np.ones((1, 2)), "input")
        (output.folder / "00000000.part").write_bytes(data)
        with explained(SequenceFileError, names=str(_folder())):
            assert output.find(0, "input") in (part, None)


@target(lambda: [bytes([i]) + text for i, text in enumerate(_parts_seeds()[1:])], runs=10_000)
def manifests(data):
    """The manifest of parts, or of rows that are merged or clustered: as written, or refused."""
    path, text = _folder() / "manifests.npy", data[1:]
    manifest_path(path).unlink(missing_ok=True)  # what is not ours would not be overwritten
    with explained(SequenceFileError, ValueError, names=str(path.parent)):
        if data[:1] == b"\0":
            with PartedEmbeddings(path, {}, n_columns=2, dtype=np.dtype("f4")) as output:
                (output.folder / "manifest.json").write_bytes(text)
                output._check_settings()
            return
        rows = np.ones((1, 2), dtype="f4")
        if not path.exists():
            write_embeddings(path, ["a"], rows)
        manifest_path(path).write_bytes(text)
        assert _saved.source_of_file(path, rows) is None or b"model" in text
        assert merge_shards([path], path.with_name("merged.npy")) == 1


@cache
def _clusters():
    """Return files of ``--save``, their tensors and settings: K-means, bins, with coverage."""
    rows, path, found = np.vstack([np.eye(3), np.ones(3)]), _folder() / "good-clusters", []
    for kind, coverage in (
        ({"n_clusters": 2}, None),
        ({"min_similarity": 0.5, "min_bin_size": 1}, None),
        ({"n_clusters": 2}, np.arange(1.0, 5)[:, None]),
    ):
        clusterer = SpeciesClusterer(**kind, random_state=0).fit(rows, abundance=coverage)
        _saved.save_clusters(path, clusterer, _saved.EmbeddingSource("x", 5, True))
        with safe_open(path, "numpy") as file:
            found.append((path.read_bytes(), load_file(path), file.metadata()))
    return found


def _cluster_seeds():
    texts = [part for f in _clusters() for part in (f[0], f[2]["settings"].encode())]
    return [bytes([i]) + text for i, text in enumerate(texts)]


@target(_cluster_seeds, runs=5_000, max_len=1500)
def clusters(data):
    """Saved clusters, or other settings in good ones: clusters that work, or an error."""
    path, content = _folder() / "clusters", data[1:]
    if data[:1] and data[0] & 1:
        _, tensors, metadata = _clusters()[(data[0] >> 1) % 3]
        settings = content.decode("utf-8", "replace")
        new = {"settings": settings, "sha256": _saved._digest(settings, tensors)}
        content = save_numpy(tensors, metadata=metadata | new)
    path.write_bytes(content)
    with explained(SequenceFileError, names=str(path)):
        loaded, source = _saved.load_clusters(path)
        assert str(source).isprintable()
        rows, scale = np.ones((2, loaded.n_features_in_)), getattr(loaded, "_abundance_scale", None)
        coverage = None if scale is None else np.ones((2, len(scale.means)))
        assert set(loaded.predict(rows, abundance=coverage)) <= set(range(-1, loaded.n_clusters_))


# Sequences


@target(lambda: [b"acgu-RN", b" ACGT ", b"ACG*", b"", "AC\u2003Gé".encode()], runs=30_000)
def sequences(data):
    """One string: what a loop over its characters gives, or the place of the bad one."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = normalize_sequence(text, where="here")
    except ValueError as error:
        assert naive.clean(text) is None
        message = str(error)
        assert message.startswith("here")
        if "is empty" not in message:
            place = int(message.split("at position ")[1].split()[0]) - 1
            assert naive.clean(f"A{text[place]}A") is None, (place, text)
            assert naive.clean("A" + text[:place].lstrip()) is not None, (place, text)
    else:
        assert found == naive.clean(text)


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.containers)
def _check_container(container):
    with explained(ValueError, TypeError):
        found = check_sequences(container)
        assert found
        assert all(type(sequence) is str and not sequence.strip("ACGTN") for sequence in found)


@target(lambda: [bytes(range(40)), b"\0" * 40, b"\xff" * 40], runs=5_000)
def containers(data):
    """Anything where sequences are expected: normalised strings, or an error."""
    _check_container.hypothesis.fuzz_one_input(data)


@target(lambda: [b"\x03ACGTNacgt\nGG", b"\x85A\nC\n\nacgtn", "\x02ACé".encode()], runs=10_000)
def kmers(data):
    """K-mers of any text: counted as by a loop over windows."""
    if not data:
        return
    ks = [data[0] & 3 or 4] + ([1 + (data[0] >> 2 & 3)] if data[0] & 64 else [])
    canonical = bool(data[0] & 128)
    texts = data[1:].decode("latin-1").split("\n")
    found = kmer_counts(texts, ks, canonical=canonical)
    expected = [[n for k in ks for n in naive.kmer_counts(t, k, canonical)] for t in texts]
    assert found.tolist() == expected


# Models


@cache
def _model_files():
    """Return the files of two small models by kind: k-mer profiles, and a transformer."""
    sizes = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    tokenizer = nets.train_bpe_tokenizer(["ACGACGACGTTT", "ACGACG"], vocab_size=11)
    profile = random_profile(k=[2], deep_size=3, **sizes)
    transformer = random_dnabert(tokenizer, num_attention_heads=2, **sizes)
    files = {}
    for kind, backbone in (("kmer", profile), ("bert", transformer)):
        folder = _folder() / f"good-{kind}"
        backbone.save(folder)
        torch.save(backbone.model.state_dict(), folder / "pytorch_model.bin")
        files[kind] = {file.name: file.read_bytes() for file in folder.iterdir()}
    return files


_PARTS = [
    *(("kmer", name) for name in ("config.json", "model.safetensors", "pytorch_model.bin")),
    *(("bert", name) for name in ("config.json", "tokenizer.json", "model.safetensors")),
]


def _checkpoint_seeds():
    whole = [_model_files()[kind][name] for kind, name in _PARTS]
    odd = bytes([1]) + save({"mean": torch.full((10,), torch.nan)})
    return [*(bytes([i]) + content for i, content in enumerate(whole)), odd]


@target(_checkpoint_seeds, runs=3_000, max_len=4096)
def checkpoints(data):
    """A folder with one file made by somebody else: a model that works, or an error."""
    if not data:
        return
    kind, damaged = _PARTS[data[0] % len(_PARTS)]
    folder = _folder() / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in _model_files()[kind].items():
        if not (name == "pytorch_model.bin" or (damaged != name == "model.safetensors")):
            (folder / name).write_bytes(content)
    if damaged in ("config.json", "tokenizer.json"):
        (folder / "model.safetensors").write_bytes(_model_files()[kind]["model.safetensors"])
    (folder / damaged).write_bytes(data[1:])
    with explained(ValueError, FileNotFoundError, names=str(folder)):
        backbone = nets.load_backbone(folder)
        batch = backbone.collate(backbone.featurize(["ACGTACGTN", "G"]))
        with torch.inference_mode():
            assert backbone.embed(batch).shape == (2, backbone.embedding_size)


def _tokenizer_seeds():
    good = _model_files()["bert"]["tokenizer.json"]
    content = json.loads(good)
    changes = (
        {"normalizer": {"type": "Replace", "pattern": {"String": "A"}, "content": "AA"}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "A+"}, "behavior": "Isolated"}},
        {"post_processor": None},
        {"added_tokens": []},
    )
    small = json.dumps(content, separators=(",", ":")).encode()
    return [good, small, *(json.dumps(content | change).encode() for change in changes)]


@target(_tokenizer_seeds, runs=5_000, max_len=4096)
def tokenizer_files(data):
    """A tokenizer made by somebody else: tokens that the model knows, or an error."""
    file = _folder() / "tokenizer.json"
    file.write_bytes(data)
    with explained(ValueError, names=str(file)):
        tokenizer = load_tokenizer(file, 11)
        ids = tokenizer.encode("ACGTACGTNNGGAC" * 3).ids
        assert 2 <= len(ids) <= 60
        assert max(ids) < 11


@cache
def _transformer():
    _model_files()
    return nets.load_backbone(_folder() / "good-bert")


@target(lambda: [b"ACGTACGT", b"NNNN", b"ACG\nT", b"N" * 30 + b"A" * 30], runs=10_000)
def tokens(data):
    """Any normalised sequence: framed tokens, none left out."""
    found = [text for text in map(naive.clean, data.decode("latin-1").split("\n")) if text]
    backbone = _transformer()
    features = backbone.featurize(found)
    assert len(features) == len(found)
    names = {i: token for token, i in backbone.tokenizer.get_vocab().items()}
    for sequence, ids in zip(found, features, strict=True):
        assert ids[0] == 1
        assert ids[-1] == 2
        text = "".join("N" if i == 0 else names[i] for i in ids[1:-1].tolist())
        assert text == sequence


# Tables

_LABELS = [
    b"read_id\tspecies\nr1\tE. coli\nr2\tV. cholerae\n",
    b"@Version:0.9.1\n@SampleID:s\n\n@@SEQUENCEID\tTAXID\tBINID\nr1\t5\ta\nr2\t6\tb\n",
    b"id\tlabel\rr1\ta\rr2\tb\r",
    b'# R\n"r1 x"\t"a"\r\n">r2"\t"b"\r\n',
    b"r1\ta\nr1\tb\n",
    b"\xff\t\n",
]


def _table_lines(data):
    lines = re.split("\r\n|\r|\n", data.decode("utf-8-sig"))
    return [line for line in lines if line.strip()]


@target(lambda: [*_LABELS, gzip.compress(_LABELS[0], mtime=0)], runs=20_000)
def labels(data):
    """A table of labels: as many as lines, or an error."""
    with explained(SequenceFileError, names="reads"):
        found = read_labels(_Named(data))
        assert all(found)
        assert all(found.values())
        if not data.startswith(tuple(_MAGIC)):
            lines = _table_lines(data)
            n_comments = sum(line[0] in "#@" for line in lines)
            assert len(lines) - n_comments - 1 <= len(found) <= len(lines)
        missing = ["no such read"]
        with contextlib.suppress(SequenceFileError):
            missing = labels_of([key.split()[0].lstrip(">@") or key for key in found], found)
        assert set(missing) <= {"no such read", *found.values()}


_ABUNDANCE = b"contig\tgut_1\tgut_2\nc1\t4.5\t0\nc2\t1e3\t.5\n"
_JGI = b"contigName\tcontigLen\ttotalAvgDepth\ta.bam\ta.bam-var\nc1\t5\t4.5\t4.5\t1\n"


@target(lambda: [_ABUNDANCE, _JGI, b"c1\t4\nc2\tnan\n", b"", b"id\ta\nc\t-1\n"], runs=20_000)
def abundances(data):
    """A table of abundances: finite numbers of at least 0, a row a line, or an error."""
    with explained(SequenceFileError, names="reads"):
        found = read_abundance(_Named(data))
        rows = np.stack(list(found.values()))
        assert np.isfinite(rows).all()
        assert (rows >= 0).all()
        if not data.startswith(tuple(_MAGIC)):
            n_lines = len(_table_lines(data))  # some tools write a header, and some do not
            assert n_lines - 1 <= len(found) <= n_lines


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _embedding_seeds():
    def npy(array, ids=b"a\nb\n"):
        return bytes([0]) + struct.pack("<H", len(ids)) + ids + _npy(array)

    tsv = bytes([1]) + b"id\tembedding_0\tembedding_1\na\t1.5\t2\nb\t0\t-1e-3\n"
    arrays = [np.eye(2), np.eye(2, dtype=">f4"), np.ones((2, 3), order="F"), np.ones(3, dtype=int)]
    huge = _npy(np.eye(2)).replace(b"(2, 2)", b"(9999, 99999999)")
    return [npy(array) for array in arrays] + [tsv, bytes([0, 2, 0]) + b"a\n" + huge]


@target(_embedding_seeds, runs=10_000)
def embeddings(data):
    """An embedding file: as many rows as identifiers, or an error."""
    if len(data) < 3:
        return
    path = _folder() / ("x.tsv" if data[0] & 1 else "x.npy")
    if data[0] & 1:
        path.write_bytes(data[1:])
    else:
        (n_ids,) = struct.unpack("<H", data[1:3])
        path.with_suffix(".ids.txt").write_bytes(data[3 : 3 + n_ids])
        path.write_bytes(data[3 + n_ids :])
    with explained(SequenceFileError, names=str(path.with_suffix(""))):
        ids, rows = read_embeddings(path)
        assert rows.ndim == 2
        assert rows.shape[1] > 0
        assert np.issubdtype(rows.dtype, np.floating)
        assert len(ids) == len(rows) > 0
        assert all(ids)


# Command line

_WORDS = [
    "embed", "cluster", "bin", "classify", "info", "convert", "reads", "table", "model", "out.npy",
    "out.tsv", "out", "-o", "-k", "2", "0", "-1", "--labels", "--train", "--model", "--method",
    "kmedoid", "graph", "--abundance", "--skip-empty", "--allow-duplicate-ids",
    "--strand", "both", "--seed", "--jobs", "--min-similarity", "0.9", "nan", "--help", "--quiet",
    "--force", "--device", "cpu", "--reject", "--consensus", "1e999", "", "é", "--version",
    "fly", "merge",
]  # fmt: skip


def _cli_seed(words, reads, table=b"r1\ta\nr2\tb\n"):
    argv = bytes(_WORDS.index(word) for word in words.split())
    return bytes([len(argv)]) + argv + bytes([len(table)]) + table + reads


def _cli_seeds():
    plain = (
        "embed reads -o out.npy --model model",
        "cluster reads -o out -k 2 --model model",
        "bin reads -o out --model model",
        "classify --train reads --labels table reads -o out --model model",
        "info model",
        "convert model out",
        "embed --help",
    )
    return [
        _cli_seed("embed reads -o out.tsv --model model --skip-empty", FASTQ),
        _cli_seed("bin reads -o out --abundance table --model model", FASTA, b"r1\t1\nr2\t2\n"),
        *(_cli_seed(words, FASTA) for words in plain),
    ]


@target(_cli_seeds, runs=2_000)
def command_line(data):
    """Arguments and files: an exit status, one line on an error, outputs complete or absent."""
    n_words = data[0] % 24 if data else 0
    words = [_WORDS[i % len(_WORDS)] for i in data[1 : 1 + n_words]]
    if not words:
        return  # the help
    rest = data[1 + n_words :]
    n_table = rest[0] if rest else 0
    folder = _folder() / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "table").write_bytes(rest[1 : 1 + n_table])
    (folder / "reads").write_bytes(rest[1 + n_table :])
    _model_files()
    (folder / "model").symlink_to(_folder() / "good-kmer")
    before = {path.name for path in folder.iterdir()}
    out, err = io.StringIO(), io.StringIO()
    here = Path.cwd()
    os.chdir(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    finally:
        os.chdir(here)
    said = err.getvalue()
    assert "Traceback" not in said, said
    left = {path.name for path in folder.iterdir()} - before
    assert not any(name.startswith(".") for name in left), left
    if status:
        assert status in (1, 2), status
        assert said.count("error:") == 1, said
        assert not left, left
