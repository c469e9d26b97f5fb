#!/bin/sh
# Draws the secrets of docker-compose.yml into deploy/secrets/, once; what is there already is kept.
# The folder is closed to others; the files in it are readable, because the containers' users are not you.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

# A missing file NAME is written from standard input.
keep() {
    if [ ! -s "$1" ]; then
        cat > "$1.new"
        chmod 0444 "$1.new"
        mv "$1.new" "$1"
        echo "deploy/secrets/$1" >&2
    fi
}
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

random | keep owner_password
random | keep service_password
random | keep jwt_secret
random | keep session_secret
random | keep pseudonym_secret
random | keep grafana_password
# The simulated kiosk reads the same file; with the bank, put the merchant's own key here.
if [ ! -s kiosque_secret_key ]; then
    random | keep kiosque_secret_key
    echo "  (drawn for the simulated kiosk: for production put there the key that the bank gives)" >&2
fi
# The log's own key and salt: the key may turn (docs/preuve.md), the salt never changes.
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | keep preuve_key
random | keep preuve_salt
# The trial witness's own key (profile essai).
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | keep temoin_key
printf 'postgresql://proprietaire:%s@postgres:5432/creances' "$(cat owner_password)" | keep owner_database_url
printf 'postgresql://creances:%s@postgres:5432/creances' "$(cat service_password)" | keep database_url
# Each role of the service has a login of its own, with its rights only (service/schema/rights.sql).
for role in api consommateur suiveur publication relance sceau; do
    random | keep "password_$role"
    printf 'postgresql://service_%s:%s@postgres:5432/creances' "$role" "$(cat "password_$role")" | keep "database_url_$role"
done
# Reads PostgreSQL's own figures (pg_monitor), and no table of ours.
random | keep password_surveillance
# The archived WAL and the backups, written by PostgreSQL's user; the folder above it is closed to others.
mkdir -p ../sauvegardes/postgres
chmod 1777 ../sauvegardes/postgres
# The settings of your house, and its certificates: no secret is among them; the folder above it is closed to others.
mkdir -p ../reglages/creances
chmod 0755 ../reglages/creances
