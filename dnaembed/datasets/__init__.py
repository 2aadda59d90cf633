"""Data sets to try things on."""

from ._demo import load_demo_reads, save_demo_reads
from ._species import load_dnabert_s_tsv, make_species_dataset

__all__ = ["load_demo_reads", "load_dnabert_s_tsv", "make_species_dataset", "save_demo_reads"]
