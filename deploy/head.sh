#!/usr/bin/env bash
# Begins a fleet on this host and directs it: the head's node, and the program that gives it work.
#
#   head.sh [OPTION of "tonnage fleet join --head"]… -- tonnage serve --fleet auto
#
# Runs until SIGTERM, or until one of the two ends; then it ends the other. Its exit status is 0 after
# a signal, else that of the one that ended.
#
#   FLEET_RECORD  a file in which the head's address stands once nodes can join (JSON)
set -euo pipefail

join=()
while [ $# -gt 0 ] && [ "$1" != "--" ]; do
  join+=("$1")
  shift
done
if [ $# -lt 2 ]; then
  echo "Usage: head.sh [OPTION of tonnage fleet join --head]… -- COMMAND …" >&2
  exit 2
fi
shift

record=${FLEET_RECORD:-$(mktemp)}
node= director=

leave() {
  trap - TERM INT
  rm -f "$record" "$record.new"
  # What gives work goes first: it takes back what runs on the nodes.
  for process in $director $node; do
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" || true
  done
}
trap 'leave; exit 0' TERM INT

rm -f "$record"
tonnage fleet join --head --json "${join[@]}" >"$record.new" &
node=$!
until [ -s "$record.new" ]; do
  if ! kill -0 "$node" 2>/dev/null; then
    status=0
    wait "$node" || status=$?
    leave
    exit "$status"
  fi
  sleep 0.2
done
mv "$record.new" "$record"

"$@" &
director=$!
status=0
wait -n "$node" "$director" || status=$?
leave
exit "$status"
