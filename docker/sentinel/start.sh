#!/bin/sh
# Starts a node of compose.yml: `primary`, `replica <primary>`, `sentinel <primary>`; `healthy` asks one.
#
# A server writes what it learns into its configuration (whom it follows, who the sentinels are), so the
# file is made once, in the volume, and kept. Passwords go from files into files: never into an argument.
set -eu
umask 077

refuse() { echo "start.sh: $*" >&2; exit 64; }

# The password in a secret, refused if it could be read as anything else in a configuration file.
secret() {
    [ -f "/run/secrets/$1" ] || refuse "no password: write one to secrets/$1"
    word="$(cat "/run/secrets/$1")"
    case "$word" in
        '') refuse "no password: secrets/$1 is empty" ;;
        *[!A-Za-z0-9_-]*) refuse "the password in secrets/$1 may only have letters, digits, - and _" ;;
    esac
    printf '%s' "$word"
}

# A configuration with values in the place of ${...}.
fill() {
    while IFS= read -r line || [ -n "$line" ]; do
        while :; do
            case "$line" in
                *'${PASSWORD}'*) line="${line%%'${PASSWORD}'*}$password${line#*'${PASSWORD}'}" ;;
                *'${SENTINEL_PASSWORD}'*) line="${line%%'${SENTINEL_PASSWORD}'*}$sentinel_password${line#*'${SENTINEL_PASSWORD}'}" ;;
                *'${PRIMARY}'*) line="${line%%'${PRIMARY}'*}$primary${line#*'${PRIMARY}'}" ;;
                *) break ;;
            esac
        done
        printf '%s\n' "$line"
    done
}

engine=redis
command -v valkey-server >/dev/null && engine=valkey
kind="$1" primary="${2:-}"
file=/data/redis.conf
[ "$kind" != sentinel ] || file=/data/sentinel.conf

if [ "$kind" = healthy ]; then
    port=6379 name=password
    if [ -f /data/sentinel.conf ]; then port=26379 name=sentinel_password; fi
    REDISCLI_AUTH="$(secret "$name")" && export REDISCLI_AUTH
    [ "$("$engine-cli" -p "$port" ping)" = PONG ]
    exit
fi

password="$(secret password)"
sentinel_password=''
[ "$kind" != sentinel ] || sentinel_password="$(secret sentinel_password)"

if [ ! -s "$file" ]; then
    {
        fill < "/lab/${file##*/}"
        echo 'dir /data'
        [ "$kind" != replica ] || echo "replicaof $primary 6379"
    } > "$file.new"
    mv "$file.new" "$file"
fi

set -- "$engine-server" "$file"
[ "$kind" != sentinel ] || set -- "$@" --sentinel
# Official images have an entry point that gives up root.
if command -v docker-entrypoint.sh >/dev/null; then set -- docker-entrypoint.sh "$@"; fi
exec "$@"
