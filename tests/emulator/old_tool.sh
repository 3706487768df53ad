# Sourced by the tools of an older Android, which set what androids.toml says of them: `tool`, the options that it knows
# (`short`, `long`), and of what options it fails (`with`, `without`). Refuses the options that came later, as toybox
# does, and then runs today's tool.

# An option that is not known, or lacks its argument.
refuse() {
    echo "$tool: Unknown option '$1' (see \"$tool --help\")" >&2
    exit 1
}

check() {
    while [ $# -gt 0 ]; do
        takes=no
        case $1 in
        --) return ;;
        --*=*) case " $long " in *" ${1%%=*}= "*) ;; *) refuse "${1#--}" ;; esac ;;
        --*)
            letter=${1#--}
            case " $long " in *" $1 "*) ;; *" $1= "*) takes=yes ;; *) refuse "$letter" ;; esac
            ;;
        -?*) check_letters "${1#-}" ;;
        *) case $short in "^"*) return ;; esac ;;
        esac
        # The next word is this option's argument.
        [ $takes = no ] || shift
        [ $# -gt 0 ] || refuse "$letter"
        shift
    done
}

check_letters() {
    letters=$1
    while [ -n "$letters" ]; do
        rest=${letters#?}
        letter=${letters%"$rest"}
        seen=$seen$letter
        case $short in
        *"$letter":*) [ -n "$rest" ] || takes=yes; return ;;
        *"$letter"*) ;;
        *) refuse "$letter" ;;
        esac
        letters=$rest
    done
}

seen=
check "$@"
case $seen in
*"${with:-nothing}"*) [ "${seen#*"$without"}" != "$seen" ] || fails=yes ;;
esac
[ "$fails" = yes ] || exec /system/bin/toybox "$tool" "$@"
/system/bin/toybox "$tool" "$@"
echo "$tool: Operation not permitted" >&2
exit 1
