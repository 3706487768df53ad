#!/bin/sh
# The emulated device's init: process 1 of namespaces of its own (mounts, processes, network), which all end with it.
# boot.sh ROOT TOOLS DATA PROPERTIES DATA_OPTIONS CPU SERVICES
#   ROOT          the device's root, shared by all devices and mounted read-only
#   TOOLS         folder of this machine that becomes /system/bin
#   DATA          folder of this machine that becomes /data/local/tmp, or `tmpfs`
#   PROPERTIES    file that becomes /system/build.prop
#   DATA_OPTIONS  mount options of /data/local/tmp
#   CPU           what qemu emulates of arm64
#   SERVICES      folder of what dumpsys and settings answer from
set -eu
root=$1 tools=$2 data=$3 properties=$4 data_options=$5 cpu=$6 services=$7
shell_id=2000

mount --bind "$root" "$root"
mount -o remount,bind,ro,nosuid,nodev "$root"
mount --bind "$properties" "$root/system/build.prop"
mount -o remount,bind,ro "$root/system/build.prop"
mount --bind "$tools" "$root/system/bin"
mount -o remount,bind,ro,nosuid,nodev "$root/system/bin"
for file in battery settings; do
    mount --bind "$services/$file" "$root/data/system/$file"
done
if [ "$data" = tmpfs ]; then
    mount -t tmpfs -o "$data_options,mode=771,uid=$shell_id,gid=$shell_id" tmpfs "$root/data/local/tmp"
else
    mount --bind "$data" "$root/data/local/tmp"
    mount -o "remount,bind,$data_options" "$root/data/local/tmp"
fi
mount -t proc -o nosuid,nodev,noexec,hidepid=2 proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
echo localhost >/proc/sys/kernel/hostname
chroot "$root" /system/bin/ifconfig lo up

# Android's init starts adbd again when it has ended; the programs that an earlier adbd started live on.
cd /
while :; do
    env -i PATH=/system/bin:/vendor/bin:/system/xbin ANDROID_ROOT=/system ANDROID_DATA=/data ADBD_PORT=5555 \
        QEMU_CPU="$cpu" \
        "$(command -v chroot)" --userspec="$shell_id:$shell_id" --groups= "$root" \
        /apex/com.android.adbd/bin/adbd || :
    sleep 0.2
done
