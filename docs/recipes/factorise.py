"""Make a k-mer model smaller and faster: each of its matrices becomes a product of two.

``python docs/recipes/factorise.py GENOMES --model RUN/model --rank 192 -o OUT`` embeds pieces of
the genomes, and projects what each matrix gives on the directions in which it
varies most. That is the best product of a given rank for these pieces; nothing is trained. It
prints which share of the variance each matrix keeps, and writes the model to OUT.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from dnaembed.backbones import KmerProfileBackbone, KmerProfileModel
from dnaembed.training import GenomePairs, GenomeStore, list_genomes

_BATCHES, _PAIRS = 20, 512
_UNUSED_STEP = 2**41  # of pairs that no training has seen


@torch.no_grad()
def factorise(backbone: KmerProfileBackbone, source: GenomePairs, rank: int) -> KmerProfileBackbone:
    """Return a model of products of two matrices."""
    old = backbone.model.float().eval()
    found: dict[str, list[torch.Tensor]] = {}
    matrices = {n: m for n, m in old.named_modules() if isinstance(m, nn.Linear) and n != "leave"}
    for name, matrix in matrices.items():
        found[name] = []
        keep = found[name].append
        matrix.register_forward_hook(lambda _, given, result, keep=keep: keep(result))
    for step in range(_UNUSED_STEP, _UNUSED_STEP + _BATCHES):
        batch = source.sample(step, _PAIRS)
        old(**backbone.collate(backbone.featurize([*batch.view1, *batch.view2])))
    state = old.state_dict()
    for name, matrix in matrices.items():
        results = torch.cat(found[name]).double()
        mean = results.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(results.T))
        kept = axes[:, -rank:]
        del state[f"{name}.weight"], state[f"{name}.bias"]
        state[f"{name}.0.weight"] = kept.T @ matrix.weight.double()
        state[f"{name}.1.weight"] = kept
        state[f"{name}.1.bias"] = mean + kept @ (kept.T @ (matrix.bias.double() - mean))
        print(f"{name}: {variances[-rank:].sum() / variances.sum():.4f} of the variance")
    model = KmerProfileModel(replace(old.config, rank=rank))
    model.load_state_dict(state)
    return KmerProfileBackbone(model.eval())


def main() -> None:
    """Read the model and genomes, write the model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("genomes", nargs="+", help="folders with a catalog.tsv")
    parser.add_argument("--model", type=Path, required=True, help="folder of a k-mer model")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True, help="new folder")
    parser.add_argument("--split", help="of the catalogue; all genomes by default")
    parser.add_argument("--store", type=Path, help="folder of packed genomes, as in RUN/genomes")
    args = parser.parse_args()
    backbone = KmerProfileBackbone.from_folder(args.model)
    written = json.loads((args.model / "config.json").read_text(encoding="utf-8"))["dtype"]
    with tempfile.TemporaryDirectory() as folder:
        if args.store is None:
            records = [r for one in args.genomes for r in list_genomes(one, split=args.split)]
            store = GenomeStore.build(records, Path(folder) / "store")
        else:
            store = GenomeStore(args.store)
        source = GenomePairs(store, virtual_share=0.35, seed=0)
        small = factorise(backbone, source, args.rank)
    small.model.to(getattr(torch, written))
    small.save(args.output)
    print(f"Wrote {args.output}: {small.n_parameters:,} weights of {backbone.n_parameters:,}.")


if __name__ == "__main__":
    main()
