#!/usr/bin/env bash
# Builds the demo's bundle from nothing: draw a simulated belt, train on 30 of its lots, prove on 20 later ones, sign.
# `make demo-bundle` runs it. Usage: examples/demo_bundle.sh [FOLDER for pictures and student, kept; default: a temporary one]
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
if [ ! -e "$work/accept" ]; then
    python -m edge.capture.belt "$work/train" --parts 600 --seed 11
    python -m edge.capture.belt "$work/accept" --parts 400 --seed 11 --first-lot 31
fi

[ -e "$work/student/student.onnx" ] ||
    edge-train finetune "$work/train" -o "$work/student" --roi 80,80,480,480 --size 256 --folds 2

edge-calibrate threshold "$work/student/scores.csv" --escape 0.05 \
    --pictures "$work/train" --acceptance "$work/accept" -o "$work/threshold.json"

# the private key signs this one bundle and is thrown away: nobody can sign another that the demo trusts
keys=$(mktemp -d)
edge-compile keygen "$keys/demo"
edge-compile "$work/student/student.onnx" --product washer --version 1 \
    --calibration "$work/train" --acceptance "$work/accept" --threshold "$work/threshold.json" \
    --int8-only --acceptance-pictures 4 --key "$keys/demo.key" -o edge/demo/washer-1.bundle
cp "$keys/demo.pub" edge/demo/demo.pub
rm -r "$keys"
