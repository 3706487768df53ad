#!/bin/sh
# Evaluates the model as it is before training. Options of the runner may follow.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
run -f "$here/model" -d "$here/dataset" -c 0 "$@"
