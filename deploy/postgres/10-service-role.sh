#!/bin/sh
# Run once, when the database is created: the service's logins, without any privilege; `creances migrate` gives theirs to
# the roles that they are members of. `creances` is all of them at once: for the commands of an operator.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$(cat /run/secrets/service_password)" <<'SQL'
CREATE ROLE creances LOGIN PASSWORD :'password';
SQL
for role in api consommateur suiveur publication relance sceau; do
    psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
        --set=login="service_$role" --set=group="creances_$role" \
        --set=password="$(cat "/run/secrets/password_$role")" <<'SQL'
CREATE ROLE :"group" NOLOGIN;
CREATE ROLE :"login" LOGIN PASSWORD :'password' IN ROLE :"group";
SQL
done
# The exporter's: figures only.
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$(cat /run/secrets/password_surveillance)" <<'SQL'
CREATE ROLE service_surveillance LOGIN PASSWORD :'password' IN ROLE pg_monitor;
SQL
