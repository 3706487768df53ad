#!/system/bin/sh
# Android's settings: get, put and delete, as far as a script uses them. They outlive a reboot.
store=/data/system/settings
command=$1 key=$2/$3 value=$4

others() {
    while IFS= read -r line; do
        [ "${line%%=*}" = "$key" ] || echo "$line"
    done <$store
}

case $command in
get)
    while IFS= read -r line; do
        [ "${line%%=*}" = "$key" ] && { echo "${line#*=}"; exit 0; }
    done <$store
    echo null
    ;;
put)
    kept=$(others)
    printf '%s\n' ${kept:+"$kept"} "$key=$value" >$store
    ;;
delete)
    kept=$(others)
    [ "$kept" = "$(cat $store)" ] && echo "Deleted 0 rows" || echo "Deleted 1 rows"
    printf '%s' "${kept:+$kept
}" >$store
    ;;
*)
    echo "Invalid command: $command" >&2
    exit 255
    ;;
esac
