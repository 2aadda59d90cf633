"""Contrastive losses on unit vectors, in log space, and how embeddings lie under them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

# Stands for log 0: finite, so that a row without a single negative has a gradient of 0, not NaN.
_NEVER = -1e4


def weighted_simclr(
    z1: Tensor, z2: Tensor, *, temperature: float, labels: Tensor | None = None
) -> Tensor:
    r"""Compute the Weighted SimCLR loss, which counts the hard negatives more.

    (Zhou et al., "DNABERT-S", Bioinformatics 41 (2025), i255.) For the ``2 n`` views, each anchor
    :math:`i` has a partner :math:`p(i)`, similarities :math:`s_{ij} = z_i \cdot z_j / \tau` and
    negatives :math:`\mathcal N_i`:

    .. math::

        \ell_i = -\log \frac{e^{s_{i p(i)}}}{e^{s_{i p(i)}} + \sum_{j \in \mathcal N_i} w_{ij}
        e^{s_{ij}}}, \qquad
        w_{ij} = \frac{e^{s_{ij}}}{\frac{1}{|\mathcal N_i|} \sum_{k \in \mathcal N_i} e^{s_{ik}}}

    and the loss is the mean over the anchors; the gradient flows through the weights.

    Parameters
    ----------
    z1, z2 : Tensor of shape (n, d)
        Unit vectors; ``z1[i]`` and ``z2[i]`` are the two views of one pair.
    temperature : float
        :math:`\tau`.
    labels : Tensor of shape (n,), int64, default=None
        Species of each pair: views of one species are not negatives of each other. Negative
        values and None: unknown, different from all others.

    Returns
    -------
    Tensor
        A scalar, 0 where no anchor has a negative; in float32 at least, as of all losses.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.training import weighted_simclr
    >>> z = torch.eye(4)
    >>> round(weighted_simclr(z, z, temperature=0.5).item(), 4)
    0.5944
    """
    z1, z2 = _check_views(z1, z2, temperature)
    n = len(z1)
    z = torch.cat([z1, z2])
    similarities = z @ z.T / temperature
    partner = torch.arange(2 * n, device=z.device).roll(n)
    positives = (z1 * z2).sum(1).repeat(2) / temperature
    negative = ~_same_label(labels, n, z.device).repeat(2, 2)
    negative[torch.arange(2 * n, device=z.device), partner] = False
    return softplus(_log_weighted_sum(similarities, negative) - positives).mean()


def mi_mix(
    z1: Tensor,
    z2: Tensor,
    permutation: Tensor,
    coefficients: Tensor,
    *,
    temperature: float,
    labels: Tensor | None = None,
) -> Tensor:
    r"""Compute the Manifold Instance Mixup loss of mixed anchors against unmixed candidates.

    (Zhou et al., as above; ``"i_mix"``: Lee et al., "i-Mix", ICLR 2021.) Anchor :math:`i` was
    mixed, somewhere in the model (``"i_mix"``: at its input), from :math:`\lambda_i` of itself and
    :math:`1 - \lambda_i` of row :math:`\pi(i)`. With
    :math:`s_{ij} = z^{(1)}_i \cdot z^{(2)}_j / \tau` and the weights of `weighted_simclr`:

    .. math::

        \ell_i = -\lambda_i \log \frac{e^{s_{ii}}}{e^{s_{ii}} + N_i}
        - (1 - \lambda_i) \log \frac{e^{s_{i \pi(i)}}}{e^{s_{ii}} + N_i}, \qquad
        N_i = \sum_{j \ne i} w_{ij} e^{s_{ij}}

    and the loss is the mean over the anchors.

    Parameters
    ----------
    z1, z2 : Tensor of shape (n, d)
        Unit vectors of the mixed views, and of the other views, which are not mixed.
    permutation : Tensor of shape (n,), int64
        :math:`\pi`, of rows of the whole batch, over all processes.
    coefficients : Tensor of shape (n,)
        :math:`\lambda`, from 0 to 1.
    temperature, labels : float, and Tensor of shape (n,), int64, default=None
        As in `weighted_simclr`. Candidates with the label of row ``i`` or of ``permutation[i]``,
        but for that row itself, are not negatives of anchor ``i``.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.training import mi_mix
    >>> z2 = torch.eye(3)
    >>> permutation, coefficients = torch.tensor([1, 2, 0]), torch.full((3,), 0.75)
    >>> z1 = torch.nn.functional.normalize(0.75 * z2 + 0.25 * z2[permutation])
    >>> round(mi_mix(z1, z2, permutation, coefficients, temperature=0.5).item(), 4)
    0.7033
    """
    z1, z2 = _check_views(z1, z2, temperature)
    n = len(z1)
    if permutation.shape != (n,) or coefficients.shape != (n,):
        got = f"{tuple(permutation.shape)} and {tuple(coefficients.shape)}"
        raise ValueError(f"permutation and coefficients must have shape ({n},), got {got}.")
    similarities = z1 @ z2.T / temperature
    rows = torch.arange(n, device=z1.device)
    same = _same_label(labels, n, z1.device)
    negative = ~(same | same[permutation])
    negative[rows, permutation] = True  # or the loss would have no lower bound
    negative[rows, rows] = False
    positives = similarities.diagonal()
    log_denominator = torch.logaddexp(positives, _log_weighted_sum(similarities, negative))
    share = coefficients.to(z1.dtype)
    mixed = share * positives + (1 - share) * similarities[rows, permutation]
    return (log_denominator - mixed).mean()


def supcon(z1: Tensor, z2: Tensor, *, temperature: float, labels: Tensor | None = None) -> Tensor:
    r"""Compute the supervised contrastive loss: every view of a label is a positive.

    The form ``L_out`` of Khosla et al., "Supervised contrastive learning", NeurIPS 2020:

    .. math::

        \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log
        \frac{e^{s_{ip}}}{\sum_{j \ne i} e^{s_{ij}}}

    with :math:`P_i` the other views of the anchor's label, its partner among them; the mean over
    the ``2 n`` anchors. Without labels this is the loss of SimCLR.

    Parameters
    ----------
    z1, z2, temperature, labels : Tensor, Tensor, float, and Tensor or None
        As in `weighted_simclr`, and so are the :math:`s_{ij}`.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import torch
    >>> from dnaembed.training import supcon
    >>> z = torch.eye(4)
    >>> round(supcon(z, z, temperature=0.5).item(), 4)
    0.5944
    """
    z1, z2 = _check_views(z1, z2, temperature)
    z = torch.cat([z1, z2])
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive = _same_label(labels, len(z1), z.device).repeat(2, 2) & ~own
    similarities = z @ z.T / temperature
    log_share = log_softmax(similarities.masked_fill(own, _NEVER), dim=1)
    per_anchor = log_share.masked_fill(~positive, 0.0).sum(1) / positive.sum(1)
    return -per_anchor.mean()


# What differs is the layer: i-Mix mixes at the input of the first one.
i_mix = mi_mix


@dataclass(frozen=True)
class Loss:
    """A loss as the trainer uses it: an entry of `LOSSES`.

    Parameters
    ----------
    function : callable
        With the signature of `mi_mix` if the views 1 are mixed, else of `supcon`.
    mixed_layers : {"first", "all"}, default=None
        The views 1 are mixed at the input of one of these hidden layers, drawn in each step.
    phases : tuple of str, default=()
        Of a curriculum: the losses before and after ``phase_split`` of the steps. `function` and
        `mixed_layers` are then those of the second.

    Examples
    --------
    >>> from dnaembed.training import LOSSES, Loss, TrainingConfig, supcon
    >>> LOSSES["my_loss"] = Loss(supcon)
    >>> TrainingConfig(loss="my_loss").loss_at(0)
    'my_loss'
    >>> del LOSSES["my_loss"]
    """

    function: Callable[..., Tensor]
    mixed_layers: Literal["first", "all"] | None = None
    phases: tuple[str, ...] = ()


#: The losses by name: every value of ``loss=`` in the package.
LOSSES: dict[str, Loss] = {
    "c2lr": Loss(mi_mix, "all", phases=("weighted_simclr", "mi_mix")),
    "weighted_simclr": Loss(weighted_simclr),
    "mi_mix": Loss(mi_mix, "all"),
    "i_mix": Loss(i_mix, "first"),
    "supcon": Loss(supcon),
}


# Alignment and uniformity of unit vectors: Wang and Isola, ICML 2020, arXiv:2005.10242.


def alignment(z1: Tensor, z2: Tensor) -> Tensor:
    """Return the mean squared distance of positive pairs, from 0 (best) to 4."""
    return (z1 - z2).square().sum(1).mean()


def uniformity(z: Tensor) -> Tensor:
    """Return ``log mean exp(-2 d^2)`` over pairs of rows: 0 if all are one, -4 when spread."""
    distances = torch.pdist(z)
    return distances.square().mul(-2).logsumexp(0) - math.log(len(distances))


def _log_weighted_sum(similarities: Tensor, negative: Tensor) -> Tensor:
    """Return ``log sum_j w_ij exp(s_ij)``, which is ``log sum exp(2 s) - log mean exp(s)``."""
    s = similarities.masked_fill(~negative, _NEVER)
    n_negatives = negative.sum(1)
    # A row without negatives would have log 0 - log 0: it gets log 0 and no gradient.
    log_sum = (2 * s).logsumexp(1) - s.logsumexp(1) + n_negatives.clamp(min=1).log()
    return log_sum.masked_fill(n_negatives == 0, _NEVER)


def _same_label(labels: Tensor | None, n: int, device: torch.device) -> Tensor:
    """Tell which pairs share a species; every pair does so with itself."""
    same = torch.eye(n, dtype=torch.bool, device=device)
    if labels is None:
        return same
    if labels.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {tuple(labels.shape)}.")
    labels = labels.to(device)
    return same | ((labels[:, None] == labels) & (labels >= 0))


def _check_views(z1: Tensor, z2: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    if z1.ndim != 2 or z1.shape != z2.shape or len(z1) == 0:
        expected = "two-dimensional, of one shape and not empty"
        got = f"{tuple(z1.shape)} and {tuple(z2.shape)}"
        raise ValueError(f"z1 and z2 must be {expected}, got {got}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    dtype = torch.promote_types(torch.promote_types(z1.dtype, z2.dtype), torch.float32)
    return z1.to(dtype), z2.to(dtype)
