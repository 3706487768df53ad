#!/bin/sh
# Asks the trained model in output/ about the images there, which writes output/answers.json; options of
# device_runtime/infer.py may follow.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
module=device_runtime.infer
run "$here/output" "$@"
