#!/usr/bin/env bash
# Proof of the compose stack, run where its docker client and published port are:
#
#   docker compose --env-file demo.env up --build --wait && tests/compose/check.sh
#
# Is everything healthy and locked down, is a trade made inside, does micro come back after kill -9
# with orders at work, and do Freqtrade's books and micro's still agree afterwards? One line a
# finding; ends 0 only if all hold. Needs bash, docker and, for /healthz, nothing else.
set -euo pipefail

project=${COMPOSE_PROJECT_NAME:-stoic-citadel}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
started=$SECONDS

ok() { printf 'ok %4ss: %s\n' "$((SECONDS - started))" "$1"; }
fail() {
    printf 'FAIL: %s\n' "$1" >&2
    for service in micro macro; do
        printf -- '--- last lines of %s\n' "$service" >&2
        docker logs --tail 25 "$(container "$service")" >&2 2>&1 || true
    done
    exit 1
}
container() {
    docker ps -aq --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1"
}
inspect() { docker inspect --format "$2" "$(container "$1")"; }
inside() { docker exec -i "$(container "$1")" "${@:2}"; }
# Poll a command once a second until it succeeds: within SECONDS 'what' command…
within() {
    local left=$1 what=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "not within the time: $what"
        sleep 1
    done
}
healthy() { [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]; }

# --- locked down ---------------------------------------------------------------------------------
[ "$(inspect keys '{{.State.Status}} {{.State.ExitCode}}')" = "exited 0" ] || fail "keys were not made"
for service in sim micro macro; do
    healthy "$service" || fail "$service is not healthy"
    [ "$(inspect "$service" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}')" \
        = "true [ALL] [no-new-privileges:true]" ] || fail "$service is not locked down"
    [ "$(inside "$service" id -u)" = 10001 ] || fail "$service runs as $(inside "$service" id -un)"
    grep -q 'CapEff:.*0000000000000000' <(inside "$service" cat /proc/self/status) \
        || fail "$service has capabilities"
    inside "$service" sh -c '! touch /opt/citadel/x 2>/dev/null && ! touch /etc/x 2>/dev/null' \
        || fail "$service can write to its root file system"
done
ok "sim, micro and macro are healthy; not root, no capability, root file systems read-only"

[ "$(inside micro sh -c 'cd /keys; echo *.secret')" = micro.secret ] || fail "micro holds other secrets"
[ "$(inside macro sh -c 'cd /keys; echo *.secret')" = macro.secret ] || fail "macro holds other secrets"
[ "$(inspect sim '{{len .Mounts}}')" = 0 ] || fail "sim has volumes"
[ "$(inside micro stat -c '%a %u' /keys/micro.secret)" = "600 10001" ] || fail "micro's secret is not private"
before=$(inside micro cat /keys/micro.public)$(inside macro cat /keys/macro.public)
docker start -a "$(container keys)" >/dev/null || fail "keys cannot run twice"
[ "$before" = "$(inside micro cat /keys/micro.public)$(inside macro cat /keys/macro.public)" ] \
    || fail "a second run of keys changed them"
ok "each side holds its own secret key only, and a second run of keys changes none"

inside sim python - <<'P' || fail "a peer without keys hears the channels"
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
for address in ("tcp://micro:5556", "tcp://macro:5555"):
    socket.connect(address)
sys.exit(socket.poll(3000))
P
ok "a peer without keys on the same network hears nothing, though both sides publish every second"

inside micro python - <<'P' || fail "the micro image holds freqtrade"
import importlib.util, sys
sys.exit(importlib.util.find_spec("freqtrade") is not None)
P
ok "the micro image has no freqtrade"

# --- a trade -------------------------------------------------------------------------------------
# Number of trades in Freqtrade's database, of those with this value of is_open and a higher id.
trades() {
    inside macro python - "$1" "${2:-0}" <<'P'
import sqlite3, sys
link = sqlite3.connect("file:/data/trades.sqlite?mode=ro", uri=True, timeout=5)
query = "SELECT count(*) FROM trades WHERE is_open = ? AND id > ? AND amount > 0"
print(link.execute(query, sys.argv[1:]).fetchone()[0])
P
}
last_trade() {
    inside macro python - <<'P'
import sqlite3
link = sqlite3.connect("file:/data/trades.sqlite?mode=ro", uri=True, timeout=5)
print(link.execute("SELECT coalesce(max(id), 0) FROM trades").fetchone()[0])
P
}
closed_after() { [ "$(trades 0 "$1")" -gt 0 ]; }
within 60 "a trade opened and closed inside the stack" closed_after 0
ok "$(trades 0) trade(s) opened and closed inside the stack"

# --- kill -9 -------------------------------------------------------------------------------------
# Kills micro itself in the middle of an order; its container ends with it. Freqtrade locks a pair until
# the end of the candle in which it sold it, so orders come at least once in a good minute.
kill_micro() {
    inside micro python - <<'P'
import json, os, signal, time, urllib.error, urllib.request
def working():
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:5580/healthz", timeout=2)
    except urllib.error.HTTPError as error:
        answer = error
    return json.load(answer)["open_parents"]
deadline = time.monotonic() + 90
while not (count := working()) and time.monotonic() < deadline:
    time.sleep(0.01)
print(count, flush=True)
for pid in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read().split(b"\0")
    if int(pid) not in (1, os.getpid()) and b"micro" in command and b"--config" in command:
        os.kill(int(pid), signal.SIGKILL)
P
}
restarts=$(inspect micro '{{.RestartCount}}')
boot=$(inspect micro '{{.State.StartedAt}}')
trade=$(last_trade)
working=$(kill_micro) || true # who killed it is killed with it
[ "${working:-0}" -gt 0 ] || fail "no order was at work for 90 s"
restarted() {
    [ "$(inspect micro '{{.RestartCount}}')" -gt "$restarts" ] \
        && [ "$(inspect micro '{{.State.StartedAt}}')" != "$boot" ] \
        && [ "$(inspect micro '{{.State.Running}}')" = true ]
}
within 30 "micro restarted" restarted
within 60 "micro healthy again" healthy micro
within 60 "macro healthy again" healthy macro
ok "micro killed (SIGKILL) with $working order(s) at work; restarted by policy and healthy again"
within 120 "another trade after the restart" closed_after "$trade"
ok "trades go on after the restart: $(trades 0) closed"

# --- both books ----------------------------------------------------------------------------------
# An order in flight between the two is no difference, so the comparison may be repeated.
agree() {
    inside macro python - >"$scratch/trades.sqlite" <<'P'
import os, sqlite3, sys
copy = "/tmp/trades.sqlite"
with sqlite3.connect("file:/data/trades.sqlite?mode=ro", uri=True, timeout=5) as link:
    with sqlite3.connect(copy) as to:
        link.backup(to)
with open(copy, "rb") as file:
    sys.stdout.buffer.write(file.read())
os.unlink(copy)
P
    inside micro sh -c 'cat > /tmp/trades.sqlite' <"$scratch/trades.sqlite"
    docker exec -e COLUMNS=160 "$(container micro)" citadel audit --database /tmp/trades.sqlite --journal /data >"$scratch/audit" 2>&1
}
for try in $(seq 20); do
    status=0
    agree || status=$?
    [ "$status" = 1 ] || break # 1: they differ; anything else but 0: they could not be compared
    sleep 1
done
[ "$status" = 0 ] || { cat "$scratch/audit" >&2; fail "the books of the two sides differ"; }
cat "$scratch/audit"
ok "Freqtrade's books and micro's journal agree after the restart"
