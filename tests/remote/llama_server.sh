# !/usr/bin/env bash Builds llama-server from the source package of llama-cpp-python, once per version, and prints its
# path.
#
#   tests/remote/llama_server.sh
#
# It takes about ten minutes on two cores; an interrupted build is continued. Needs python3 and a C++ compiler.
# Environment: PHI_LS_TEST_CACHE (where it is kept), CMAKE_BUILD_PARALLEL_LEVEL (compilers at once; default: as many as
# cores).
set -euo pipefail

# The source package, and the tools that build it.
package="llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
version=0.3.36
tools="cmake==4.4.5 ninja==1.13.2"

cache=${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}
server=$cache/llama-server-$version
[ -x "$server" ] && echo "$server" && exit

work=$server.build
mkdir -p "$work"
exec 8> "$work/lock"
flock 8
[ -x "$server" ] && echo "$server" && exit

build() {
    if ! [ -e "$work/tools/complete" ]; then
        rm -rf "$work/tools"
        python3 -m venv "$work/tools"
        # shellcheck disable=SC2086
        "$work/tools/bin/pip" install --quiet --disable-pip-version-check $tools
        touch "$work/tools/complete"
    fi
    if ! [ -e "$work/source/complete" ]; then
        rm -rf "$work/source" "$work/download"
        mkdir -p "$work/source"
        echo "$package" > "$work/requirements.txt"
        "$work/tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
            --requirement "$work/requirements.txt" --dest "$work/download"
        tar --extract --gzip --file "$work"/download/*.tar.gz --directory "$work/source" --strip-components 3 \
            --wildcards '*/vendor/llama.cpp/*'
        touch "$work/source/complete"
    fi
    PATH=$work/tools/bin:$PATH
    # The same instructions on every machine that may share the cache, and no downloads while building.
    cmake -S "$work/source" -B "$work/build" -G Ninja -Wno-dev --log-level=WARNING -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
        -DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_CCACHE=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
        -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_CURL=OFF
    cmake --build "$work/build" --target llama-server
    cp "$work/build/bin/llama-server" "$server.new"
    mv "$server.new" "$server"
    rm -rf "$work"
}

build >&2
echo "$server"
