# PID 1 of a node. It outlives the server, so that a crash kills the process and not the container:
# clients get a reset from an address that still answers. USR1 kills the server, USR2 starts one unless one runs.
#
# A server that comes back is empty. It follows nobody until it is told whom (port 1 answers nothing),
# because an empty primary that takes writes loses each of them with its first synchronisation.
rejoin="$1"; held="$2"; shift 2
server=
start() {
    if [ -e /started ]; then "$@" $rejoin & else "$@" & fi
    server=$!
    : > /started
}
runs() { [ -n "$server" ] && kill -0 "$server" 2>/dev/null; }
# What was killed still counts as running until it was waited for.
trap 'kill -KILL "$server"; wait "$server"' USR1
trap 'runs || start "$@"' USR2
trap 'kill -TERM "$server"; wait "$server"; exit 0' TERM
# One that is held begins with the first USR2; after that its container starts it like any other.
if [ "$held" != held ] || [ -e /started ]; then start "$@"; fi
sleep infinity & keeper=$!
while kill -0 "$keeper" 2>/dev/null; do wait "$keeper"; done
