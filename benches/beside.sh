# !/usr/bin/env bash Runs a command alone and beside unpinned busy processes, in turn, to see how fast it is while other
# work uses the processors.
#
#   benches/beside.sh [-n SPINNING] [-r ROUNDS] COMMAND [ARGUMENT...]
#
#   benches/beside.sh target/release/phi-ls bench --model MODEL.gguf --threads 2 -p 128 -n 32
#   benches/beside.sh -n 2 benches/peers/target/release/phi-ls-peers MODEL.gguf --short --rounds 1   # llama.cpp too
set -euo pipefail

spinning=1 rounds=3
while getopts n:r: option; do
  case $option in
    n) spinning=$OPTARG ;;
    r) rounds=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { echo "expected a command to run" >&2; exit 2; }

started=()
stop() {
  [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  started=()
}
trap stop EXIT

for ((round = 1; round <= rounds; round++)); do
  echo "== round $round, alone"
  "$@"
  echo "== round $round, beside $spinning spinning"
  for ((index = 0; index < spinning; index++)); do
    (while :; do :; done) &
    started+=($!)
  done
  "$@"
  stop
done
