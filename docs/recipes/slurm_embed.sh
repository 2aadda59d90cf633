#!/usr/bin/env bash
#SBATCH --array=1-64
#SBATCH --cpus-per-task=2
#
# Embed a file on many machines: each takes the shard of its number in the array.
#
#   jobs=$(sbatch --parsable slurm_embed.sh reads.fastq.gz parts)
#   sbatch --dependency=afterok:$jobs --wrap "dnaembed merge reads.npy parts/*.npy"
#
# A task that was stopped goes on where it was when it is submitted again, with the number of shards
# given by hand:
#
#   SHARDS=64 sbatch --array=7,12 slurm_embed.sh reads.fastq.gz parts
set -euo pipefail

reads=$1
parts=$2
index=$SLURM_ARRAY_TASK_ID
count=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
mkdir -p "$parts"
dnaembed embed "$reads" -o "$parts/part-$index.npy" --shard "$index/$count" \
    --jobs "$SLURM_CPUS_PER_TASK"
