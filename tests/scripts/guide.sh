#!/usr/bin/env bash
# Builds the guide (docs) with mdBook and looks whether its pages are there. The links and commands in it are checked by tests/it/project/docs.rs.
#
# mdBook is compiled once, into $PHI_LS_TEST_CACHE.
set -euo pipefail

version=0.5.4
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
home=$cache/mdbook-$version

if ! "$home/bin/mdbook" --version > /dev/null 2>&1; then
    # Neither its server nor its search, which take most of the time to compile; a debug build is fast enough for ten pages.
    CARGO_TARGET_DIR=$home/target cargo install --quiet --locked --no-default-features --debug --root "$home" "mdbook@$version"
    rm -rf "$home/target"
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$home/bin/mdbook" build --dest-dir "$out/book" "$root/docs" 2>&1 | tee "$out/log"
if grep -qE 'WARN|ERROR' "$out/log"; then
    echo "tests/scripts/guide.sh: expected a guide without warnings" >&2
    exit 1
fi
for page in "$root"/docs/src/*.md; do
    name=$(basename "$page" .md)
    [ "$name" = SUMMARY ] || [ -s "$out/book/$name.html" ] || {
        echo "tests/scripts/guide.sh: expected a page $name.html, found none" >&2
        exit 1
    }
done
