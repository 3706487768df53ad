#!/bin/sh
# Evaluates the checkpoint of the last training. Options of the runner may follow, `-f CHECKPOINT` among them.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
case " $* " in
*" -f "*) run -d "$here/dataset" -c 0 "$@" ;;
esac
newest= steps=-1
for file in "$here"/output/*_trained_*.safetensors; do
    [ -f "$file" ] || continue
    number=${file##*_trained_}
    number=${number%.safetensors}
    if [ "$number" -gt "$steps" ]; then
        steps=$number newest=$file
    fi
done
if [ -z "$newest" ]; then
    echo "error: $here/output holds no trained checkpoint: run train.sh first" >&2
    exit 1
fi
run -f "$newest" -d "$here/dataset" -c 0 "$@"
