# PID 1 of a node. It outlives the server, so that a crash kills the process and not the container:
# clients get a reset from an address that still answers. USR1 kills the server, USR2 kills it and starts another,
# WINCH starts one unless one runs: what a container is made of before it is a shell ignores that, and HUP would end it.
#
# What a server is told is in /node/server.sh. One that is not the first since the host was equipped comes back
# empty. It follows nobody until it is told whom (port 1 answers nothing), because an empty primary that takes writes
# loses each of them with its first synchronisation.
server= doomed= starting=
start() {
    starting=yes
    # Its port is free when the last one is gone. Signals interrupt the waiting for it.
    while [ -n "$doomed" ] && kill -0 "$doomed" 2>/dev/null; do wait "$doomed"; done
    if [ -e /node/started ]; then sh /node/server.sh again & else sh /node/server.sh & fi
    server=$! starting=
    : > /node/started
}
runs() { [ -n "$starting" ] || { [ -n "$server" ] && kill -0 "$server" 2>/dev/null; }; }
crash() { if [ -n "$server" ]; then doomed="$server"; server=; kill -KILL "$doomed"; fi; }
trap crash USR1
# One signal for both: of two that come at once the shell does what the second says first.
trap 'crash; start' USR2
trap 'runs || start' WINCH
trap 'kill -TERM "$server"; wait "$server"; exit 0' TERM
# The first server is told to start; after that a container that is started again starts one itself.
if [ -e /node/started ]; then start; fi
sleep infinity & keeper=$!
while kill -0 "$keeper" 2>/dev/null; do wait "$keeper"; done
