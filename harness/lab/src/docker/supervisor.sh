# PID 1 of a node. It outlives the server, so that a crash kills the process and not the container:
# clients get a reset from an address that still answers. USR1 kills the server, USR2 kills it and starts another,
# WINCH starts one unless one runs: what a container is made of before it is a shell ignores that, and HUP would end it.
#
# A server that comes back is empty. It follows nobody until it is told whom (port 1 answers nothing),
# because an empty primary that takes writes loses each of them with its first synchronisation.
rejoin="$1"; held="$2"; shift 2
server= doomed= starting=
start() {
    starting=yes
    # Its port is free when the last one is gone. Signals interrupt the waiting for it.
    while [ -n "$doomed" ] && kill -0 "$doomed" 2>/dev/null; do wait "$doomed"; done
    if [ -e /started ]; then "$@" $rejoin & else "$@" & fi
    server=$! starting=
    : > /started
}
runs() { [ -n "$starting" ] || { [ -n "$server" ] && kill -0 "$server" 2>/dev/null; }; }
crash() { if [ -n "$server" ]; then doomed="$server"; server=; kill -KILL "$doomed"; fi; }
trap crash USR1
# One signal for both: of two that come at once the shell does what the second says first.
trap 'crash; start "$@"' USR2
trap 'runs || start "$@"' WINCH
trap 'kill -TERM "$server"; wait "$server"; exit 0' TERM
# One that is held begins with the first WINCH; after that its container starts it like any other.
if [ "$held" != held ] || [ -e /started ]; then start "$@"; fi
sleep infinity & keeper=$!
while kill -0 "$keeper" 2>/dev/null; do wait "$keeper"; done
