#!/usr/bin/env bash
# Runs a command with the secrets that a container is given as files: with-secrets.sh COMMAND …
#
#   DATABASE_PASSWORD_FILE  a file with the password of the database, for a URL without one
set -euo pipefail

if [ -n "${DATABASE_PASSWORD_FILE:-}" ]; then
  PGPASSWORD=$(<"$DATABASE_PASSWORD_FILE")
  export PGPASSWORD
fi
exec "$@"
