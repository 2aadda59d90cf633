"""`DNABertSEmbedder`: DNA in, species-aware vectors out, as a scikit-learn transformer."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._sequences import check_sequences
from ..backbones import Backbone, load_backbone, shared_backbone
from ..backbones._device import DTYPES, resolve_device, resolve_dtype
from ..utils._torch import torch
from ._cache import embed_through_cache, open_cache
from ._engine import EmbedOptions, ModelName, embed_sequences
from ._mixin import EmbeddingSource, SequenceTransformerMixin, check_made_by


class DNABertSEmbedder(SequenceTransformerMixin, BaseEstimator):
    """Embed DNA sequences so that those of one species lie close together.

    Takes the model that ships with the package, folders written by `save_model` or ``dnaembed
    convert``, and published DNABERT-2 and DNABERT-S checkpoints, without running their code.

    Parameters
    ----------
    model : str or path-like, default="default"
        Name of a bundled model, a folder, or a Hugging Face hub id such as
        ``"zhihan1996/DNABERT-S"``.
    revision, cache_dir, local_files_only : str, path-like and bool, default=None, None, False
        Of a hub model, as in `dnaembed.backbones.load_backbone`.
    window_size : int, None or "auto", default="auto"
        Longest piece, in bp, that the model sees in one pass. The embedding of a longer sequence is
        the length-weighted mean of equal windows. ``"auto"`` is the model's own, None never cuts.
    strand : {"forward", "both"}, default="forward"
        ``"both"`` averages the embeddings of the sequence and its reverse complement, which the
        bundled model sees alike in any case.
    normalize : bool, default=False
        Scale rows to unit length.
    batch_tokens : int or "auto", default="auto"
        Tokens (transformers) or sequences (k-mer models) in a batch; halved, with a warning, when
        memory runs out.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"`` takes the best of them, and the
        CPU for a k-mer model of at most 512 hidden columns, such as the default.
    dtype : {"auto", "float32", "float16", "bfloat16"}, default="auto"
        Precision of the model; ``"auto"`` is bfloat16 on a GPU or a CPU that multiplies it
        (AVX512-BF16, AMX), else, and for small k-mer models on a CPU, float32. Embeddings are
        returned as float32.
    cache : str, path-like or None, default="memory"
        Keep the embedding of each distinct sequence: ``"memory"`` shares up to 1 GB between all
        estimators of the process, a folder keeps them across runs, None keeps nothing.
    n_jobs : int, default=None
        Chunks of sequences embedded at a time, in threads unless `joblib.parallel_config` names
        another backend; see :term:`n_jobs` and :doc:`/guide/distributed`. None is one, or with a
        k-mer model on a CPU as many as there are cores. Chunks share the cores.
    fine_tuner : object with method ``fine_tune``, default=None
        For example `dnaembed.training.ContrastiveFineTuner`: `fit` then adapts the model to the
        sequences, and to `y` where given.
    random_state : int, RandomState instance or None, default=None
        Seed of the fine-tuning; nothing else here is random.

    Attributes
    ----------
    fine_tuner_ : object
        The fitted fine-tuner; only with `fine_tuner`.
    backbone_ : Backbone
        The model in use.

    Notes
    -----
    Each distinct sequence is normalised (`dnaembed.normalize_sequence`) and embedded once.
    Transformers average the last hidden states over all tokens, ``[CLS]`` and ``[SEP]`` included,
    as the paper does (Zhou et al., Bioinformatics 41 (2025), i255).

    Examples
    --------
    >>> from dnaembed import DNABertSEmbedder
    >>> reads = ["ACGTTGCA" * 40, "GGGCATTA" * 40, "acguugca" * 40]
    >>> embeddings = DNABertSEmbedder().fit_transform(reads)
    >>> len(embeddings), embeddings.dtype
    (3, dtype('float32'))
    >>> bool((embeddings[0] == embeddings[2]).all())  # case and U do not matter
    True
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "model": [str, PathLike],
        "revision": [str, None],
        "cache_dir": [str, PathLike, None],
        "local_files_only": ["boolean"],
        "window_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), None],
        "strand": [StrOptions({"forward", "both"})],
        "normalize": ["boolean"],
        "batch_tokens": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "dtype": [StrOptions({"auto", *DTYPES})],
        "cache": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "fine_tuner": [HasMethods(["fine_tune"]), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        model: str | PathLike[str] = "default",
        *,
        revision: str | None = None,
        cache_dir: str | PathLike[str] | None = None,
        local_files_only: bool = False,
        window_size: int | str | None = "auto",
        strand: str = "forward",
        normalize: bool = False,
        batch_tokens: int | str = "auto",
        device: str = "auto",
        dtype: str = "auto",
        cache: str | PathLike[str] | None = "memory",
        n_jobs: int | None = None,
        fine_tuner: Any = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.revision = revision
        self.cache_dir = cache_dir
        self.local_files_only = local_files_only
        self.window_size = window_size
        self.strand = strand
        self.normalize = normalize
        self.batch_tokens = batch_tokens
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.n_jobs = n_jobs
        self.fine_tuner = fine_tuner
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the sequences, load the model and, if asked for, adapt it.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences; see `dnaembed.check_sequences` for the containers.
        y : array-like of shape (n_samples,), default=None
            Labels for the fine-tuner; ignored without one.

        Returns
        -------
        self : object
            The fitted embedder.
        """
        self._fit_sequences(check_sequences(X), y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Fit, or continue fine-tuning where the last call stopped; parameters as for `fit`.

        The fine-tuner needs a method ``partial_fine_tune`` for that.
        """
        sequences = check_sequences(X)
        if not hasattr(self, "_tuned_backbone"):
            self._fit_sequences(sequences, y)
            return self
        if not hasattr(self.fine_tuner_, "partial_fine_tune"):
            lack = f"{type(self.fine_tuner_).__name__} has no method partial_fine_tune"
            raise TypeError(f"{lack}, which partial_fit of a fine-tuned model needs.")
        self._fine_tune(self.fine_tuner_.partial_fine_tune, self._backbone(), sequences, y)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed sequences.

        Parameters
        ----------
        X : iterable of str of length n_samples
            DNA sequences.

        Returns
        -------
        ndarray of shape (n_samples, embedding_size), float32
            One row per sequence.
        """
        check_is_fitted(self)
        backbone = self._backbone()
        options = self._options(backbone)
        context = f"{backbone.fingerprint()} torch.{backbone.precision} {backbone.device_type} "
        context += f"window={options.window_size} both={options.both_strands}"
        compute = partial(self._compute, backbone, options)
        sequences, cache, size = check_sequences(X), open_cache(self.cache), backbone.embedding_size
        embeddings = embed_through_cache(sequences, cache, context, size, compute)
        return normalize(embeddings, copy=False) if self.normalize else embeddings

    def embed_file(
        self,
        paths: Any,
        output: str | PathLike[str],
        *,
        dtype: str = "float32",
        shard: str | None = None,
        resume: bool = True,
        skip_empty: bool = False,
        duplicate_ids: str = "error",
    ) -> np.ndarray:
        r"""Embed FASTA or FASTQ files of any size into a file, in bounded memory.

        Without a fine-tuner there is nothing to fit, and no need to call `fit` before.

        Parameters
        ----------
        paths : path-like, binary file, or iterable of these
            One or several files, as for `dnaembed.io.read_sequences`.
        output : path-like
            ``OUT.npy``. Beside it come ``OUT.ids.txt``, an identifier per line, and
            ``OUT.manifest.json``, which says what the rows were made by. Until all is done,
            everything lies in the folder ``OUT.npy.parts``.
        dtype : {"float32", "float16"}, default="float32"
            Of the file.
        shard : str, default=None
            ``"3/64"`` embeds the third of every 64 parts of two million bases;
            `dnaembed.io.merge_shards` joins them again.
        resume : bool, default=True
            Continue where an earlier call with the same settings was stopped; the input is read
            and checked from its start. False deletes earlier parts.
        skip_empty, duplicate_ids : bool and str, default=False and "error"
            As for `dnaembed.io.read_sequences`.

        Returns
        -------
        numpy.memmap of shape (n_sequences, embedding_size)
            The rows in the order of the input.

        Raises
        ------
        SequenceFileError
            If a file is not what it should be. Parts up to there are kept for the next call.
        ValueError, OSError
            If a parameter is wrong, `dtype` cannot hold a value, earlier parts were made with
            another setting, or the output is of another program or cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from dnaembed import DNABertSEmbedder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     reads = pathlib.Path(folder, "reads.fasta")
        ...     _ = reads.write_text(">r1\nACGTTGCA\n>r2\nGGCATTAC\n")
        ...     rows = DNABertSEmbedder().embed_file(reads, reads.with_suffix(".npy"))
        ...     rows.shape, sorted(path.name for path in pathlib.Path(folder).iterdir())
        ((2, 384), ['reads.fasta', 'reads.ids.txt', 'reads.manifest.json', 'reads.npy'])
        """
        self._validate_params()
        if self.fine_tuner is not None:
            check_is_fitted(self)
        from ._files import embed_file

        backbone = self._backbone()
        embed_file(
            backbone,
            paths,
            output,
            self._options(backbone),
            scale_rows=self.normalize,
            dtype=dtype,
            shard=shard,
            resume=resume,
            skip_empty=skip_empty,
            duplicate_ids=duplicate_ids,
            n_jobs=self.n_jobs,
        )
        return np.load(output, mmap_mode="r")

    def save_model(self, folder: str | PathLike[str]) -> None:
        """Write the model in use, fine-tuned or not, as a new folder for ``model=``."""
        self.backbone_.save(folder)

    @property
    def backbone_(self) -> Backbone:
        """The model in use: the fine-tuned one, or one shared by all embedders of the process."""
        check_is_fitted(self)
        return self._backbone()

    def _backbone(self) -> Backbone:
        """Return the model; raise if it is not what an earlier fit found under its name."""
        backbone: Backbone | None = getattr(self, "_tuned_backbone", None)
        if backbone is not None:
            backbone.model.to(resolve_device(self.device, backbone.is_light))
        else:
            backbone = shared_backbone(**vars(self._name()), device=self.device, dtype=self.dtype)
        if hasattr(self, "_made_by"):  # not in pickles of version 0.1.0
            meant = backbone
            precision = str(self._precision).removeprefix("torch.")
            if backbone.precision != precision and self.dtype == "auto":
                # On another device "auto" is another precision, in which weights are rounded.
                meant = load_backbone(**vars(self._name()))
                meant.model.to(getattr(torch, precision))
            check_made_by(self, self._made_by, self._source(meant))
        return backbone

    def _source(self, backbone: Backbone) -> EmbeddingSource:
        window_size, both = self._options(backbone).window_size, self.strand == "both"
        others = f", normalize={self.normalize}, dtype={self.dtype!r}"
        return EmbeddingSource(backbone.fingerprint(), window_size, both, str(self.model), others)

    def _name(self) -> ModelName:
        return ModelName(self.model, self.revision, self.cache_dir, self.local_files_only)

    def _fit_sequences(self, sequences: list[str], y: Any) -> None:
        for earlier in ("fine_tuner_", "_tuned_backbone", "_random_state", "_made_by"):
            self.__dict__.pop(earlier, None)
        if self.fine_tuner is None:
            self._keep(self._backbone())
        else:
            # An own copy in full precision: fine-tuning must not touch the shared model.
            backbone = load_backbone(**vars(self._name()))
            backbone.model.to(resolve_device(self.device, backbone.is_light))
            self.fine_tuner_ = clone(self.fine_tuner)
            self._random_state = check_random_state(self.random_state)
            self._fine_tune(self.fine_tuner_.fine_tune, backbone, sequences, y)

    def _keep(self, backbone: Backbone) -> None:
        self._n_features_out = backbone.embedding_size
        self._made_by, self._precision = self._source(backbone), backbone.precision

    def _fine_tune(
        self, tune: Callable[..., Backbone], backbone: Backbone, sequences: list[str], y: Any
    ) -> None:
        """Set the tuned model: computed in full precision, kept in that of the embedder."""
        if backbone.precision != "float32":
            backbone = deepcopy(backbone)
            backbone.model.to(torch.float32)
        tuned = tune(backbone, sequences, y, random_state=self._random_state)
        device = resolve_device(self.device, tuned.is_light)
        tuned.model.eval().to(resolve_dtype(self.dtype, device, tuned.is_light))
        self._tuned_backbone = tuned
        self._keep(tuned)

    def _options(self, backbone: Backbone) -> EmbedOptions:
        size: Any = backbone.window_size if self.window_size == "auto" else self.window_size
        budget: Any = None if self.batch_tokens == "auto" else self.batch_tokens
        return EmbedOptions(size, self.strand == "both", budget, model=str(self.model))

    def _compute(
        self, backbone: Backbone, options: EmbedOptions, sequences: list[str], places: list[int]
    ) -> np.ndarray:
        # A fine-tuned model has no name by which another process could load it.
        name = None if hasattr(self, "_tuned_backbone") else self._name()
        return embed_sequences(
            backbone, sequences, options, places, n_jobs=self.n_jobs, name=name, device=self.device
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Version 0.1.0 did not keep what it was fitted with, and its default was this model.
        if state["model"] == "default" and "_n_features_out" in state and "_made_by" not in state:
            state = state | {"model": "kmer-profile-1"}
        super().__setstate__(state)

    def __getstate__(self) -> dict[str, Any]:
        # Pretrained weights are loaded again from their source; fine-tuned ones exist only here
        # and travel on the CPU, so that the pickle loads where there is no GPU.
        state = super().__getstate__().copy()
        tuned = state.get("_tuned_backbone")
        if tuned is not None and tuned.device_type != "cpu":
            state["_tuned_backbone"] = deepcopy(tuned)
            state["_tuned_backbone"].model.to("cpu")
        return state
