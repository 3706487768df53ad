# Sourced by train.sh and its like, which set `here` to the package's folder. Plain POSIX sh.
# Starts the runner with the package's own interpreter and libraries, or on the host with the host's interpreter.

# Without PYTHONSAFEPATH the folder one happens to be in would come before the package.
export PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1 ORT_DISABLE_TELEMETRY=1

module=device_runtime

run() {
    # A device's runtime has one, of its ABI.
    for loader in "$here"/runtime/lib/ld-linux-*; do
        [ -f "$loader" ] || continue
        # Its modules are compiled by the first start alone, which takes as long as they do; a push removes them.
        PYTHONDONTWRITEBYTECODE='' PYTHONPYCACHEPREFIX="$here/cache/python" \
            PYTHONHOME="$here/runtime" PYTHONPATH="$here:$here/runtime/site-packages" \
            exec "$loader" --library-path "$here/runtime/lib" "$here/runtime/bin/python3" -m "$module" "$@"
    done
    case " $* " in
    # onnxruntime-training is the host's own: the package's onnxruntime has the same name and must not hide it.
    *" --engine reference "* | *" --engine=reference "*) PYTHONPATH="$here" ;;
    *) PYTHONPATH="$here:$here/runtime/site-packages" ;;
    esac
    export PYTHONPATH
    exec "${PYTHON:-python3}" -m "$module" "$@"
}
