#!/bin/sh
# Says whether the device meets the conditions of a training that are given: --while-charging and its like.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
module=device_runtime.ready
run -f "$here/model" -d "$here/dataset" "$@"
