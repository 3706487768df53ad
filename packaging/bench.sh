#!/bin/sh
# Times a part of the package for `invoke bench`: step, product or features, and options of device_runtime/bench.py.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/run.sh"
module=device_runtime.bench
run "$@"
