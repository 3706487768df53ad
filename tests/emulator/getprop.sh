#!/system/bin/sh
# Android's getprop, as far as a script asks it: all properties, or one with an optional default.
while IFS='=' read -r name value; do
    if [ $# -eq 0 ]; then
        echo "[$name]: [$value]"
    elif [ "$name" = "$1" ]; then
        echo "$value"
        exit 0
    fi
done </system/build.prop
[ $# -eq 0 ] || echo "$2"
