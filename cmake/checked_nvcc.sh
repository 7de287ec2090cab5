#!/bin/sh
# Runs nvcc, and fails where ptxas tells of a "Potential Performance Loss": C7508, setmaxnreg is ignored, C7510, wgmma is
# serialized, and their like. To ptxas these are information, which -Werror does not reach.
# Usage: checked_nvcc.sh nvcc ARGUMENTS
said=$("$@" 2>&1)
status=$?
[ -z "$said" ] || printf '%s\n' "$said" >&2
case $said in
  *"Potential Performance Loss"*)
    echo "checked_nvcc.sh: error: a potential performance loss" >&2
    status=1
    before=
    for argument in "$@"; do  # what it has made would pass for up to date
      [ "$before" != -o ] || rm -f "$argument"
      before=$argument
    done
    ;;
esac
exit $status
