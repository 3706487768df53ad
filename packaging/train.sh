#!/bin/sh
# Trains the model; options of the runner may follow, `-f CHECKPOINT` among them to go on from a checkpoint.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
run -f "$here/model" -d "$here/dataset" "$@"
