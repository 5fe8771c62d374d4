#!/bin/sh
# A task prolog for Slurm: stops a step whose training run would run out of memory or miss its
# window. It runs on the node, as the user, in the step's environment:
#
#   export TONNAGE_CHECK="configs/train.yaml --budget prototyping"
#   srun --task-prolog=integrations/slurm-task-prolog.sh python train.py
#
# (or TaskProlog in slurm.conf, for everybody; without TONNAGE_CHECK it does nothing). Slurm reads
# its output: lines that begin with "print " reach the user. A check that cannot be answered lets
# the step run; TONNAGE_ON_UNKNOWN=fail stops it.
[ -n "$TONNAGE_CHECK" ] || exit 0
[ "${SLURM_LOCALID:-0}" = 0 ] || exit 0

eval "set -- $TONNAGE_CHECK"
answer=$("${TONNAGE:-tonnage}" check "$@" --on-unknown "${TONNAGE_ON_UNKNOWN:-warn}" 2>&1)
status=$?
printf '%s\n' "$answer" | sed 's/^/print tonnage: /'
case $status in
  0) exit 0 ;;
  1) ;;
  *) [ "${TONNAGE_ON_UNKNOWN:-warn}" = fail ] || exit 0 ;;
esac
if command -v scancel >/dev/null && [ -n "$SLURM_JOB_ID" ]; then
  scancel "$SLURM_JOB_ID${SLURM_STEP_ID:+.$SLURM_STEP_ID}"
fi
exit "$status"
