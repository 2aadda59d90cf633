#!/usr/bin/env bash
# Embed a file on all GPUs of one machine: a process and a shard for each.
#
#   gpus_embed.sh reads.fastq.gz reads.npy 4 --model zhihan1996/DNABERT-S
set -euo pipefail

reads=$1
output=$2
n_gpus=$3
shift 3

processes=()
parts=()
for ((i = 1; i <= n_gpus; i++)); do
    part=${output%.npy}.part-$i.npy
    CUDA_VISIBLE_DEVICES=$((i - 1)) dnaembed embed "$reads" -o "$part" --shard "$i/$n_gpus" "$@" &
    processes+=("$!")
    parts+=("$part")
done
for process in "${processes[@]}"; do
    wait "$process"  # stops here, without merging, if one has failed
done
dnaembed merge "$output" "${parts[@]}"
