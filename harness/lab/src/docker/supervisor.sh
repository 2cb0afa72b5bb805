# PID 1 of a node. It outlives the server, so that a crash kills the process and not the container:
# clients get a reset from an address that still answers. USR1 kills the server. USR2 kills whatever server there
# is and starts another: with one signal for each, the second's trap may run within the first's, before its `kill`,
# which then takes the new server.
#
# A server that comes back is empty. It follows nobody until it is told whom (port 1 answers nothing),
# because an empty primary that takes writes loses each of them with its first synchronisation.
rejoin="$1"; shift
start() {
    if [ -e /started ]; then "$@" $rejoin & else "$@" & fi
    server=$!
    : > /started
}
trap 'kill -KILL "$server"' USR1
trap 'kill -KILL "$server"; wait "$server"; start "$@"' USR2
trap 'kill -TERM "$server"; wait "$server"; exit 0' TERM
start "$@"
sleep infinity & keeper=$!
while kill -0 "$keeper" 2>/dev/null; do wait "$keeper"; done
