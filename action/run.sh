#!/usr/bin/env bash
# Installs difftest, runs it, and writes its result to the job summary and the step's outputs.
# The exit code is that of `difftest run`: 0 passed, 1 a test failed, 2 an error.
#
# DIFFTEST_PACKAGE names a wheel or a source folder to install instead of the released package.
# Runs on bash 3.2, which is what macOS runners have.
set -euo pipefail

python=""
work=""

set_output() { printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"; }

# stop CODE TITLE LOG: no run took place; says so where people look.
stop() {
  set_output conclusion error
  set_output results ""
  printf '::error title=difftest::%s\n' "$2"
  if [ -n "$python" ]; then
    "$python" -I "$GITHUB_ACTION_PATH/summary.py" failed "$2" "$3" >>"$GITHUB_STEP_SUMMARY"
  else
    printf '## difftest\n\n**%s**\n' "$2" >>"$GITHUB_STEP_SUMMARY"
  fi
  exit "$1"
}

# quietly LOG COMMAND…: what a command prints must not be read as workflow commands (`::add-mask::`
# and the like): it may repeat the text of a pull request.
quietly() {
  local log="$1" token code=0
  shift
  token="$("$python" -I -c 'import secrets; print(secrets.token_hex(16))')"
  printf '::stop-commands::%s\n' "$token"
  "$@" 2>&1 | tee "$log" || code="${PIPESTATUS[0]}"
  printf '\n::%s::\n' "$token"
  return "$code"
}

for candidate in python3 python; do
  if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  stop 2 "difftest needs Python 3.10 or newer; add actions/setup-python before this step" ""
fi

work="$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/difftest.XXXXXX")"

case "$DIFFTEST_INPUT_VERSION" in
  "") package="difftest" ;;
  # Anything else would let a version name another package or a URL.
  *[!0-9A-Za-z.!+_-]*)
    stop 2 "the input version is not a version; write for instance 0.1.0" ""
    ;;
  *) package="difftest==$DIFFTEST_INPUT_VERSION" ;;
esac
package="${DIFFTEST_PACKAGE:-$package}"

# One environment for all uses of this action in a job.
environment="${RUNNER_TEMP:-$work}/difftest-environment"
install() {
  [ -d "$environment" ] || "$python" -I -m venv "$environment" || return
  local bin="$environment/bin"
  [ -d "$bin" ] || bin="$environment/Scripts" # Windows
  # Isolated: a folder named pip in the repository is not the one that is meant.
  "$bin/python" -I -m pip install --quiet --disable-pip-version-check "$package"
}
printf '::group::Install difftest\n'
installed=0
quietly "$work/install.log" install || installed=$?
printf '::endgroup::\n'
if [ "$installed" -ne 0 ]; then
  stop 2 "difftest could not be installed" "$work/install.log"
fi
bin="$environment/bin"
[ -d "$bin" ] || bin="$environment/Scripts"

# A value that begins with a dash is still a value: it is joined to its option by `=`.
command=("$bin/difftest" run "--markdown=$work/summary.md" "--output=$work/results.json")
[ -z "$DIFFTEST_INPUT_MODEL" ] || command+=("--model=$DIFFTEST_INPUT_MODEL")
[ -z "$DIFFTEST_INPUT_TEST_DIR" ] || command+=("--test-dir=$DIFFTEST_INPUT_TEST_DIR")
[ -z "$DIFFTEST_INPUT_DEVICE" ] || command+=("--device=$DIFFTEST_INPUT_DEVICE")
if ! "$python" -I "$GITHUB_ACTION_PATH/summary.py" words "$DIFFTEST_INPUT_ARGS" >"$work/words"; then
  stop 2 "the input args has a quotation that is not closed" ""
fi
while IFS= read -r -d '' word; do
  command+=("$word")
done <"$work/words"

code=0
quietly "$work/run.log" "${command[@]}" || code=$?

if [ ! -s "$work/summary.md" ]; then
  # It ended before it had anything to report. A run that cannot say it passed did not.
  [ "$code" -ne 0 ] || code=2
  stop "$code" "difftest ended with exit code $code before it could report" "$work/run.log"
fi
"$python" -I "$GITHUB_ACTION_PATH/summary.py" report "$work/summary.md" >>"$GITHUB_STEP_SUMMARY"
case "$code" in
  0) set_output conclusion success ;;
  1) set_output conclusion failure ;;
  *) set_output conclusion error ;;
esac
if [ -s "$work/results.json" ]; then
  set_output results "$work/results.json"
else
  set_output results ""
fi
exit "$code"
