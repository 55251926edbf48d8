#!/usr/bin/env bash
# Checks what no compiler looks at: shell and Python scripts, workflows, YAML, spelling.
#
# The tools are packages of Python, kept in $PHI_LS_TEST_CACHE by their versions.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
tools=$cache/script-tools-$(sha256sum "$here/requirements.txt" | cut -c 1-12)

if ! [ -f "$tools/complete" ]; then
    rm -rf "$tools"
    mkdir -p "$cache"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    touch "$tools/complete"
fi
export PATH=$tools/bin:$PATH

cd "$root"
# Not what tests complete and explain: some of it is wrong on purpose.
not_ours=(':!tests/fixtures' ':!tests/editors/lsp/samples' ':!src/cli/sample.py')
# The tracked files whose first line, or name, says what they are.
with_first_line() { git ls-files -z "${not_ours[@]}" | xargs -0 grep -lIE --max-count=1 "^#!.*$1" | sort; }
mapfile -t shell_scripts < <(with_first_line '(bash|/sh)')
mapfile -t python_scripts < <({ with_first_line python3; git ls-files '*.py' "${not_ours[@]}"; } | sort -u)

echo "shellcheck: ${#shell_scripts[@]} scripts"
shellcheck --external-sources "${shell_scripts[@]}"
echo "ruff: ${#python_scripts[@]} scripts"
ruff check --quiet --config "$here/ruff.toml" "${python_scripts[@]}"
echo "actionlint"
actionlint
echo "yamllint"
yamllint --strict --config-file "$here/yamllint.yaml" .github packaging
echo "typos"
typos --config "$here/typos.toml"
