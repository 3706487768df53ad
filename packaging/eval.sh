#!/bin/sh
# Evaluates the checkpoint that the last training ended with. Options of the runner may follow, `-f CHECKPOINT` among them.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
case " $* " in
*" -f "*) run -d "$here/dataset" -c 0 "$@" ;;
esac
# Not the one of the most steps: an earlier, longer training may have left its own there, and the best one is told last.
file='.*"file": "\([^"]*\)".*'
trained=$(sed -n -e "s/^{\"event\": \"checkpoint\",$file/\1/p" -e "s/^{\"event\": \"best\",$file/\1/p" \
    "$here/output/metrics.jsonl" 2>/dev/null | tail -n 1)
if [ ! -f "$here/output/$trained" ]; then
    echo "error: $here/output holds no trained checkpoint: run train.sh first" >&2
    exit 1
fi
run -f "$here/output/$trained" -d "$here/dataset" -c 0 "$@"
