#!/system/bin/sh
# Android's dumpsys, as far as a script asks it: the battery. Tests change its state: tests/emulator/services.py.
case $1 in
battery) cat /data/system/battery ;;
*) echo "Can't find service: $1" >&2 ;;
esac
