#!/usr/bin/env bash
# Prints the settings file of the editors' tests: the engine process ends with its last server, and both roles are a model
# server's where PHI_LS_TEST_BACKEND has the URL of one.
set -euo pipefail

echo 'engine.lingerMinutes = 0'
if [ -n "${PHI_LS_TEST_BACKEND:-}" ]; then
    backend="{ kind = \"openai\", baseUrl = \"$PHI_LS_TEST_BACKEND\" }"
    echo "completion.backend = $backend"
    echo "assistant.backend = $backend"
fi
