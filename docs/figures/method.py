"""The two pictures of "How DNABERT-S works": ``python docs/figures/method.py``.

Unit vectors in the plane; the loss of the second is the package's. They are drawn at the width at
which the page shows them.
"""

from pathlib import Path

import numpy as np
import torch

from dnaembed.plotting import new_figure
from dnaembed.training import mi_mix

_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # Okabe and Ito
_TEMPERATURE = 0.3  # in the plane; in training 0.05 to 0.07


def _at(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=-1)


def draw_weighted_simclr():
    """Draw an anchor and its negatives, and how the weight depends on the similarity."""
    figure, (left, right) = new_figure(2)
    figure.set_size_inches(7.6, 3.8)
    anchor, partner = 90.0, 66.0
    negatives = np.array([112.0, 140.0, 170.0, 205.0, 240.0, 275.0, 310.0, 345.0, 20.0])
    similarities = _at(negatives) @ _at(anchor)
    weights = np.exp(similarities / _TEMPERATURE)
    weights /= weights.mean()
    left.plot(*_at(np.linspace(0, 360, 200)).T, color="#cccccc", zorder=0)
    left.scatter(*_at(anchor), s=110, marker="*", color=_BLUE, label="anchor")
    left.scatter(*_at(partner), s=60, marker="s", color=_GREEN, label="its partner: drawn closer")
    left.scatter(
        *_at(negatives).T,
        s=12 + 60 * weights,
        color=_ORANGE,
        label="negatives: pushed away,\nas strongly as they are large",
    )
    left.set(title="a batch, seen from one anchor", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    left.set_aspect("equal")
    left.axis("off")
    left.legend(loc="center", frameon=False, fontsize=9)
    grid = np.linspace(-1, 1, 200)
    for temperature, style in ((0.5, ":"), (_TEMPERATURE, "--"), (0.2, "-")):
        curve = np.exp(grid / temperature)
        curve /= np.exp(similarities / temperature).mean()
        right.plot(grid, curve, style, color=_ORANGE, label=f"temperature {temperature}")
    right.axhline(1, color=_GREY, linewidth=1)
    right.text(-0.97, 1.1, "SimCLR: all count the same", color=_GREY, fontsize=9, va="bottom")
    right.set(
        xlabel="similarity of negative and anchor",
        ylabel="weight in the loss",
        title="the closer, the heavier",
        ylim=(0, 8),
    )
    right.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def draw_mi_mix():
    """Draw where reads are mixed, and where the loss wants the mixture."""
    figure, (left, right) = new_figure(2)
    figure.set_size_inches(7.6, 3.8)
    for x, name, color in ((0.2, "read i", _BLUE), (0.8, "read j", _GREEN)):
        for layer in range(4):
            left.add_patch(_box(x, 0.16 + 0.19 * layer, color))
            left.text(x, 0.21 + 0.19 * layer, f"layer {layer}", ha="center", va="center", zorder=3)
            left.annotate(
                "",
                (x, 0.16 + 0.19 * layer),
                (x, 0.07 + 0.19 * layer),
                arrowprops={"arrowstyle": "->", "color": _GREY},
            )
        left.text(x, 0.03, name, ha="center", color=color, weight="bold")
    left.annotate(
        "",
        (0.22, 0.495),
        (0.78, 0.495),
        arrowprops={"arrowstyle": "->", "color": _ORANGE, "linewidth": 2},
    )
    left.text(
        0.5,
        0.515,
        "mixed at the\ninput of layer 2:\n"
        r"$\lambda h_i + (1-\lambda) h_j$",
        ha="center",
        va="bottom",
        color=_ORANGE,
        fontsize=9,
    )
    left.text(0.2, 0.93, "embedding\nof the mixture", ha="center", color=_ORANGE)
    left.text(0.8, 0.93, "(read j runs on\nfor its own mixture)", ha="center", color=_GREY)
    left.set(xlim=(0, 1), ylim=(0, 1.05), title="inside the model")
    left.axis("off")

    # Partners of three reads; the anchor lies anywhere between the first two.
    first, second, other = 0.0, 90.0, 225.0
    candidates = torch.tensor(_at(np.array([first, second, other])))
    angles = np.linspace(-30, 120, 151)
    permutation = torch.tensor([1, 0, 2])
    for share, style, note in ((1.0, "-", " (not mixed)"), (0.75, "--", ""), (0.5, ":", "")):
        coefficients = torch.tensor([share, 1.0, 1.0], dtype=torch.float64)
        losses = []
        for angle in angles:
            anchors = torch.tensor(_at(np.array([angle, second, other])))
            loss = mi_mix(anchors, candidates, permutation, coefficients, temperature=_TEMPERATURE)
            losses.append(float(loss))
        lowest = int(np.argmin(losses))
        right.plot(angles, losses, style, color=_ORANGE, label=rf"$\lambda$ = {share}{note}")
        right.plot(angles[lowest], losses[lowest], "o", color=_ORANGE)
    for angle, name, color in ((first, "partner of i", _BLUE), (second, "partner of j", _GREEN)):
        right.axvline(angle, color=color, linewidth=1)
        right.text(angle, 0.02, f" {name}", color=color, transform=right.get_xaxis_transform())
    right.set(
        xlabel="where the mixture lands, in degrees",
        ylabel="MI-Mix loss",
        xlim=(-35, 155),
        title="near both, in proportion (dots: least loss)",
    )
    right.legend(frameon=False, fontsize=9, loc="upper center")
    return figure


def _box(x, y, color):
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (x - 0.13, y), 0.26, 0.1, boxstyle="round,pad=0,rounding_size=0.02", fc="white", ec=color
    )


if __name__ == "__main__":
    folder = Path(__file__).parent
    draw_weighted_simclr().savefig(folder / "weighted_simclr.png", dpi=100, transparent=True)
    draw_mi_mix().savefig(folder / "mi_mix.png", dpi=100, transparent=True)
