# Shell functions for scripts that break the code on purpose and demand that a test notices. Source it after lib.sh.
# shellcheck shell=bash disable=SC2154  # root, targets and reason come from others
#
# A mutant is a patch; its first line says what it breaks, lines of "WORD: ..." behind it are for the script. The checkout
# as it is now, committed or not, is copied to build/mutants, built, and tried; then each mutant in turn.
#
# The script defines
#   targets     array: what to build
#   try PATCH   runs the tests that are to notice (PATCH empty: all that any chosen mutant names, which must pass); true
#               when they do, with the reason in `reason`

readonly mutants_tree=$root/build/mutants
# shellcheck disable=SC2034  # the sourcing scripts use it
readonly mutants_build=build/quick

# Files that did not change keep their times, and so their objects.
copy_tree() {
  mkdir -p "$mutants_tree"
  git -C "$root" ls-files -z --cached --others --exclude-standard | (cd "$root" && xargs -0 cp --parents --update --preserve=timestamps -t "$mutants_tree")
}

build_mutant() {
  local log=$mutants_tree/build.log
  # With paths that ccache takes for those of the checkout, most of it is built already where the checkout was.
  export CCACHE_BASEDIR=$mutants_tree
  [[ -e $mutants_build/build.ninja ]] || cmake --preset quick > "$log" 2>&1 || die "can't configure; see $log"
  ninja -C "$mutants_build" "${targets[@]}" > "$log" 2>&1 || die "can't build $1; see $log"
}

# mutants_in DIRECTORY [NAME]...: those patches, or all.
mutants_in() {
  local directory=$1 name
  shift
  if ((!$#)); then
    printf '%s\n' "$directory"/*.patch
    return
  fi
  for name in "$@"; do
    [[ -e $directory/$name.patch ]] || die "there is no $directory/$name.patch"
    echo "$directory/$name.patch"
  done
}

# run_mutants PATCH...: a line for each; fails when one survives. In the copy.
run_mutants() {
  local patch name survivors=()
  copy_tree
  cd "$mutants_tree" || die "no $mutants_tree"
  build_mutant "the code as it is"
  if try ''; then die "the code as it is fails already: $reason"; fi
  for patch in "$@"; do
    name=$(basename "$patch" .patch)
    patch --quiet -p1 < "$patch" || die "$name: $patch does not apply any more"
    # shellcheck disable=SC2064  # the patch of now: an interrupted run must not leave the copy broken
    trap "patch --quiet -p1 --reverse < '$patch'" EXIT
    build_mutant "$name"
    if try "$patch"; then
      printf '%-26s %s\n' "$name" "$reason"
    else
      printf '%-26s SURVIVED: %s\n' "$name" "$reason"
      survivors+=("$name")
    fi
    patch --quiet -p1 --reverse < "$patch"
    trap - EXIT
  done
  ((${#survivors[@]} == 0)) || die "${#survivors[@]} survived: ${survivors[*]}"
}
