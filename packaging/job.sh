#!/bin/sh
# Runs one script of the package detached from the caller, so that a lost connection does not end it.
#
#   job.sh start TOKEN SCRIPT [ARGUMENT...]   start; exit code 75 when another job runs; nothing for a TOKEN it has seen;
#                                             with --stay-awake or --while-charging among the arguments, Android does not
#                                             sleep until the job has ended
#   job.sh follow OFFSET                      print the job's output from byte OFFSET on until it ends, with its exit code;
#                                             exit code 74 when it still runs after a while: ask again
#   job.sh status                             print `running SCRIPT`, `ended CODE`, `died` or `none`
#   job.sh stop                               end the job
#
# Plain POSIX sh with the tools of Android 8's toybox: `head` counts lines alone, nothing reads a number of bytes.
# The lock is a flock that the job's own shell holds: it ends with the job.

here=$(cd "$(dirname "$0")" && pwd) || exit 1
job=$here/job
busy=75 again=74
# What the log has more than was printed, for one follower: it is still written to, a copy of its end is not.
part=$job/part.$$
# What a run writes is the shell user's alone; adbd's own umask is 0.
umask 077
# What Android's setting was before the job; gone when it is so again.
stay_on=$job/stay_on

running() {
    [ -f "$job/lock" ] || return 1
    # Shared, since two may ask at once, and neither is a job.
    if (flock -s -n 9) 9<"$job/lock"; then return 1; else return 0; fi
}

how_it_ended() {
    if [ -f "$job/code" ]; then
        echo "ended $(($(cat "$job/code")))"
    elif [ -f "$job/token" ]; then
        echo died
    else
        echo none
    fi
}

# Builtins, as long as the job runs: every program started here takes time from the training.
alive() {
    { [ ! -f "$job/code" ] && kill -0 "$pid" 2>/dev/null; } || running
}

leave() {
    rm -f "$part"
    exit "$1"
}

# Keeps a plugged-in Android awake as scrcpy does: by the setting of that name, for mains, USB and wireless (1 + 2 + 4).
stay_awake() {
    # A board without Android's settings does not fall asleep by itself.
    command -v settings >/dev/null || return 0
    settings get global stay_on_while_plugged_in >"$stay_on.new" && mv "$stay_on.new" "$stay_on" &&
        settings put global stay_on_while_plugged_in 7 ||
        echo "the device may fall asleep: Android refuses to change its setting stay_on_while_plugged_in"
    # The setting keeps awake, it does not wake.
    input keyevent KEYCODE_WAKEUP || :
}

let_sleep() {
    # Another who asks may have set it back meanwhile.
    old=$(cat "$stay_on" 2>/dev/null) || return 0
    case $old in
    # Never set: Android's default then holds, which is not 0.
    *[!0-9]* | "") settings delete global stay_on_while_plugged_in >/dev/null && rm -f "$stay_on" ;;
    *) settings put global stay_on_while_plugged_in "$old" && rm -f "$stay_on" ;;
    esac
}

# At each contact: a job that was killed, or a reboot, left the setting as it was in the job.
let_sleep_again() {
    [ -f "$stay_on" ] || return 0
    (flock -s -n 9 && let_sleep) 9<"$job/lock" >/dev/null 2>&1 || :
}

follow() {
    offset=$1 rounds=0 pid=none
    # After its death a job's id may be another program's.
    running && pid=$(cat "$job/pid")
    while :; do
        # Looked at before the output is read: what a job wrote before it ended is then printed before we leave.
        lives=no
        alive && lives=yes
        size=$(stat -c %s "$job/log" 2>/dev/null || echo 0)
        if [ "$size" -gt "$offset" ]; then
            if tail -c "+$((offset + 1))" "$job/log" >"$part"; then
                cat "$part"
                offset=$((offset + $(stat -c %s "$part")))
            elif [ $lives = no ]; then
                # A full disk takes no copy; now nothing is written any more.
                tail -c "+$((offset + 1))" "$job/log"
            fi
        fi
        if [ $lives = no ]; then
            [ -f "$job/code" ] && leave $(($(cat "$job/code")))
            echo "the job died without an exit code" >&2
            leave 70
        fi
        sleep 1
        rounds=$((rounds + 1))
        # The caller takes long silence for a lost connection, and one who has gone would be followed for ever.
        [ $rounds -ge 15 ] && leave $again
    done
}

case $1 in
start)
    token=$2
    for place in "$job" "$here/output" "$here/cache"; do
        # What is written there would land elsewhere.
        [ ! -L "$place" ] || { echo "$place is a link: remove it" >&2; exit 1; }
    done
    mkdir -p "$job" || exit 1
    # The caller asks again when it has lost the answer.
    [ "$(cat "$job/token" 2>/dev/null)" = "$token" ] && exit 0
    let_sleep_again
    if running; then
        echo "another job runs: $(cat "$job/script")" >&2
        exit $busy
    fi
    shift
    setsid sh "$here/job.sh" hold "$@" </dev/null >/dev/null 2>&1 &
    tries=0
    while [ "$(cat "$job/token" 2>/dev/null)" != "$token" ]; do
        tries=$((tries + 1))
        [ $tries -gt 100 ] && { echo "the job did not start" >&2; exit $busy; }
        sleep 0.1
    done
    ;;
hold)
    token=$2 script=$3
    shift 3
    (
        # Whoever asks whether a job runs holds the lock for an instant, one who lets Android sleep again for a little longer.
        tries=0
        until flock -n 9; do
            tries=$((tries + 1))
            [ $tries -gt 50 ] && exit $busy
            sleep 0.1
        done
        # The script ends by the signal, this shell stays to note its exit code.
        trap : TERM INT HUP
        rm -f "$job/code" "$job"/part.*
        : >"$job/log"
        # Its place on the disk, which may be full when the script ends.
        echo " 70" >"$job/code.new"
        echo "$script" >"$job/script.new" && mv "$job/script.new" "$job/script"
        echo $$ >"$job/pid"
        echo "$token" >"$job/token"
        case " $* " in
        *" --stay-awake "* | *" --while-charging "*) stay_awake >>"$job/log" 2>/dev/null ;;
        esac
        sh "$here/$script" "$@" >>"$job/log" 2>&1
        printf '%3d\n' $? 1<>"$job/code.new"
        let_sleep >/dev/null 2>&1
        mv "$job/code.new" "$job/code"
    ) 9>"$job/lock"
    ;;
follow)
    follow "$2"
    ;;
status)
    let_sleep_again
    if [ ! -f "$job/lock" ]; then
        echo none
    # Under the lock, so that no job starts in between.
    elif ! (flock -s -n 9 && how_it_ended) 9<"$job/lock"; then
        echo "running $(cat "$job/script")"
    fi
    ;;
stop)
    let_sleep_again
    running || { echo "no job runs" >&2; exit 1; }
    # The job is a session of its own: its group is all that it started. (dash knows no `kill -TERM -- -GROUP`.)
    group=$(cat "$job/pid") tries=0
    kill -s TERM -- "-$group"
    while running; do
        tries=$((tries + 1))
        [ $tries -gt 200 ] && kill -s KILL -- "-$group"
        [ $tries -gt 250 ] && { echo "the job does not end" >&2; exit 1; }
        sleep 0.1
    done
    ;;
*)
    echo "usage: job.sh start|follow|status|stop" >&2
    exit 2
    ;;
esac
