#!/bin/sh
# Evaluates the checkpoint of the last training. Options of the runner may follow, `-f CHECKPOINT` among them.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
case " $* " in
*" -f "*) run -d "$here/dataset" -c 0 "$@" ;;
esac
# Not the one of the most steps: an earlier, longer training may have left its own there.
newest=$(sed -n 's/^{"event": "checkpoint",.*"file": "\([^"]*\)".*/\1/p' "$here/output/metrics.jsonl" 2>/dev/null | tail -n 1)
if [ ! -f "$here/output/$newest" ]; then
    echo "error: $here/output holds no trained checkpoint: run train.sh first" >&2
    exit 1
fi
run -f "$here/output/$newest" -d "$here/dataset" -c 0 "$@"
