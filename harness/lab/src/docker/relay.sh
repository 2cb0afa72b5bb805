# PID 1 of a relay. Its arguments are pairs: a port of its own, and where what comes in there goes.
#
# It takes a connection before it has one itself. A target that is cut off is given up after a while, so
# that the attempts of a client that comes again and again do not pile up.
while [ $# -gt 1 ]; do
    socat "TCP-LISTEN:$1,fork,reuseaddr,nodelay,backlog=128" "TCP:$2,nodelay,connect-timeout=5" &
    shift 2
done
wait
