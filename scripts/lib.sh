# Shell functions that the scripts share. Source it: . "$(dirname "$(readlink -f "$0")")/lib.sh"
# shellcheck shell=bash

# The checkout this script belongs to, wherever the caller stands.
# shellcheck disable=SC2034  # the sourcing scripts use it
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

# What is slow to make and does not belong in the checkout (which "git clean" may empty).
cache_dir() { echo "${WARREN_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/warren}"; }

# Everything the scripts say goes to stderr, so that stdout carries results only.
say() { echo "${0##*/}: $*" >&2; }

# die [-c EXIT_CODE] MESSAGE…: one line per MESSAGE, then the end.
die() {
  local code=1 line
  if [[ $1 == -c ]]; then
    code=$2
    shift 2
  fi
  for line in "$@"; do say "$line"; done
  exit "$code"
}

usage_error() { die -c 2 "$*" "see ${0##*/} --help"; }

# The comment block under the first line of the script is its manual.
print_help() { sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"; }

seconds() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# prepare_lab_and COMMAND [ARG]...: get the lab's kernel ready if this machine needs one, and run COMMAND meanwhile.
prepare_lab_and() {
  local lab code=0
  "$root/scripts/lab-run" --prepare &
  lab=$!
  # shellcheck disable=SC2064  # the process of now
  trap "kill $lab 2> /dev/null || true" EXIT
  "$@" || code=$?
  if ((code)); then exit "$code"; fi
  wait "$lab" || die "the lab is not ready; to repeat: scripts/lab-run --prepare"
  trap - EXIT
}
