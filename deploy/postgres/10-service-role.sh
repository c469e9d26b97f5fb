#!/bin/sh
# Run once, when the database is created: the service's login, without any privilege; `creances migrate` grants it its rights.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$(cat /run/secrets/service_password)" <<'SQL'
CREATE ROLE creances LOGIN PASSWORD :'password';
SQL
