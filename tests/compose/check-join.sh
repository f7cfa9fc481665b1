#!/usr/bin/env bash
# Proof that a Freqtrade is joined to micro, run in the folder of its docker-compose.yml after
#
#   docker compose up --build --detach --wait          (with COMPOSE_FILE as in run-with-docker.md)
#
# One line a finding; ends 0 only if all hold. Needs bash and docker.
set -euo pipefail

ok() { printf 'ok: %s\n' "$1"; }
fail() { printf 'FAIL: %s\n' "$1" >&2; exit 1; }
container() { docker compose ps --all --quiet "$1"; }
inspect() { docker inspect --format "$2" "$(container "$1")"; }

for service in micro freqtrade; do
    [ "$(inspect "$service" '{{.State.Health.Status}}')" = healthy ] || fail "$service is not healthy"
    [ "$(inspect "$service" '{{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}')" \
        = "[ALL] [no-new-privileges:true]" ] || fail "$service is not locked down"
    [ "$(docker compose exec -T "$service" id -u)" = "${CITADEL_UID:-1000}" ] || fail "$service runs as another user"
done
ok "both are healthy, which says that each hears the other; no capability"

published=$(inspect micro '{{range $port, $at := .NetworkSettings.Ports}}{{range $at}}{{.HostIp}} {{end}}{{end}}')
[ "$published" = "127.0.0.1 " ] || fail "micro is published on $published"
ok "micro's page is published on loopback only"

[ "$(docker compose exec -T freqtrade stat -c '%a %u' /run/citadel)" = "700 ${CITADEL_UID:-1000}" ] \
    || fail "the folder of the sockets is not private"
docker compose exec -T micro sh -c '! ls /freqtrade/user_data 2>/dev/null' >/dev/null \
    || fail "micro sees Freqtrade's folder"
ok "the sockets are the two containers' alone, and micro sees nothing of Freqtrade's"

docker compose exec -T freqtrade citadel audit \
    --database user_data/citadel/trades.sqlite --journal user_data/citadel/run \
    || fail "the books of the two sides differ, or an order is in flight: try again"
ok "Freqtrade's books and micro's journal agree"
