"""Make training genomes of fungi, algae and protists from the gene models of AUGUSTUS.

``python docs/recipes/eukaryotes.py OUT [--models FOLDER]`` downloads the Debian package
``augustus-data`` (20 MB, Artistic licence) by ``apt-get``, unless the folder ``config/species`` of
AUGUSTUS is given. Each model holds how often words of five bases stand in the coding sequences, by
the position in the codon, and between the genes of one species. From these, 300 kb are drawn, base
by base: genes of either strand and what lies between them. OUT gets a gzipped FASTA file per
species and a ``catalog.tsv`` for `dnaembed train`. They teach composition; do not test on them.
"""

import argparse
import csv
import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np

FUNGI = """
    Conidiobolus_coronatus Encephalitozoon_cuniculi Gonapodya_prolifera Sclerotinia_sclerotiorum
    Sordaria_macrospora Sphaceloma_murrayae aspergillus_fumigatus aspergillus_nidulans
    aspergillus_oryzae aspergillus_terreus botrytis_cinerea candida_guilliermondii
    chaetomium_globosum coccidioides_immitis coprinus_cinereus cryptococcus_neoformans_gattii
    cryptococcus_neoformans_neoformans_JEC21 debaryomyces_hansenii eremothecium_gossypii
    fusarium_graminearum gigaspora_margarita histoplasma_capsulatum kluyveromyces_lactis
    laccaria_bicolor lodderomyces_elongisporus magnaporthe_grisea neurospora_crassa
    phanerochaete_chrysosporium pneumocystis rhizopus_oryzae schizosaccharomyces_pombe
    ustilago_maydis verticillium_albo_atrum1 verticillium_longisporum1 yarrowia_lipolytica
"""
PROTISTS = """
    Bathycoccus_prasinos Berviolum_minutum Chlamydomonas_eustigma Chloropicon_primus
    Cryptosporidium_hominis Cyclotella_cryptica Dunaliella_salina Ectocarpus_siliculosus
    Fistulifera_solaris Fragilariopsis_cylindrus_CCMP1102 Micromonas_commoda Micromonas_pusilla
    Monoraphidium_neglectum Monosiga_brevicollis Naegleria_gruberi Ostreococcus_sp_lucimarinus
    Ostreococcus_tauri Paramecium_tetraurelia Perkinsus_marinus Phaeodactylum_tricornutum
    Pseudo-nitzschia_multistriata Raphidocelis_subcapitata Skeletonema_costatum
    Thalassiosira_pseudonana_CCMP1335 Vitrella_brassicaformis chlamydomonas chlorella galdieria
    tetrahymena toxoplasma volvox
"""
ORDER = 4
N_PIECES, GENES_A_PIECE = 10, 15
GENE_LENGTH, GAP_LENGTH = 1400, 600  # means
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def transitions(path):
    """Return the probability of each base after each word, by the position in the codon."""
    n_words = 4**ORDER
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.strip() == "[P_ls]":
            break
    found = {}
    for line in lines:
        words = line.upper().split()
        if len(words) > 1 and len(words[0]) == ORDER + 1 and set(words[0]) <= set("ACGT"):
            found[words[0]] = [float(value) for value in words[1:]]
            if len(found) == 4 * n_words:
                break
    table = np.array([found[word] for word in sorted(found)])  # (4^5, 1 or 3)
    table = table.T.reshape(-1, n_words, 4) + 1e-7
    return table / table.sum(axis=2, keepdims=True)


def draw(table, n, length, rng):
    """Draw `n` sequences of one length, all at once, base by base."""
    cumulative = table.cumsum(axis=2)
    state = rng.integers(4**ORDER, size=n)
    bases = np.empty((n, length), dtype=np.uint8)
    for i in range(-30, length):  # the first bases are forgotten
        rows = cumulative[i % len(table)][state]
        base = np.minimum((rng.random((n, 1)) > rows).sum(axis=1), 3)
        state = (4 * state + base) % 4**ORDER
        if i >= 0:
            bases[:, i] = base
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[bases]
    return [row.tobytes().decode() for row in letters]


def genome(model, seed):
    """Draw the pieces of a genome."""
    rng = np.random.default_rng(seed)
    n = N_PIECES * GENES_A_PIECE
    genes = draw(transitions(model / f"{model.name}_exon_probs.pbl"), n, 3 * GENE_LENGTH, rng)
    gaps = draw(transitions(model / f"{model.name}_igenic_probs.pbl"), n, 3 * GAP_LENGTH, rng)
    lengths = rng.uniform(0.4, 1.6, (n, 2)) * (GENE_LENGTH, GAP_LENGTH)
    parts = []
    for gene, gap, (n_gene, n_gap) in zip(genes, gaps, lengths.astype(int), strict=True):
        gene = gene[:n_gene]
        parts.append(gene if rng.random() < 0.5 else gene.translate(COMPLEMENT)[::-1])
        parts.append(gap[:n_gap])
    size = 2 * GENES_A_PIECE
    return ["".join(parts[i : i + size]) for i in range(0, 2 * n, size)]


def main():
    """Write the genomes and their catalogue."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--models", type=Path, help="config/species of AUGUSTUS")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        models = args.models
        if models is None:
            subprocess.run(["apt-get", "download", "augustus-data"], cwd=name, check=True)
            [package] = Path(name).glob("augustus-data_*.deb")
            subprocess.run(["dpkg-deb", "-x", package.name, "x"], cwd=name, check=True)
            models = Path(name) / "x/usr/share/augustus/config/species"
        rows = []
        for domain, species in {"fungi": FUNGI, "protist": PROTISTS}.items():
            for seed, label in enumerate(species.split()):
                pieces = genome(models / label, seed)
                path = f"{label}.fna.gz"
                with gzip.open(args.output / path, "wt", encoding="ascii") as file:
                    file.writelines(f">{label}_{i}\n{piece}\n" for i, piece in enumerate(pieces))
                rows.append({"path": path, "split": "train", "domain": domain, "label": label})
                print(f"{label}: {sum(map(len, pieces)):,} bases")
    with (args.output / "catalog.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
