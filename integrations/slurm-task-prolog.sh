#!/bin/sh
# A task prolog for Slurm: stops a step whose training run would run out of memory or miss its
# window. It runs on the node, as the user, in the step's environment:
#
#   export CHECK_OPTIONS="configs/train.yaml --budget prototyping"
#   srun --task-prolog=integrations/slurm-task-prolog.sh python train.py
#
# (or set TaskProlog in slurm.conf for all users; without CHECK_OPTIONS it does nothing). Slurm reads
# its output: lines that begin with "print " reach the user. A check that cannot be answered lets
# the step run; CHECK_ON_UNKNOWN=fail stops it.
[ -n "$CHECK_OPTIONS" ] || exit 0
[ "${SLURM_LOCALID:-0}" = 0 ] || exit 0

eval "set -- $CHECK_OPTIONS"
answer=$("${CHECK_COMMAND:-tonnage}" check "$@" --on-unknown "${CHECK_ON_UNKNOWN:-warn}" 2>&1)
status=$?
printf '%s\n' "$answer" | sed 's/^/print tonnage: /'
case $status in
  0) exit 0 ;;
  1) ;;
  *) [ "${CHECK_ON_UNKNOWN:-warn}" = fail ] || exit 0 ;;
esac
if command -v scancel >/dev/null && [ -n "$SLURM_JOB_ID" ]; then
  scancel "$SLURM_JOB_ID${SLURM_STEP_ID:+.$SLURM_STEP_ID}"
fi
exit "$status"
