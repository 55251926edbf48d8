#!/usr/bin/env bash
# Makes a release's archive of the program that tests run, and installs it as a person does: from a web server on this machine, with archives
# that are cut short or tampered with, without the right to write, over an earlier version, and away again.
#
# Environment: PHI_LS_BIN (default: target/debug/phi-ls), PHI_LS_MODELS (a folder with the starter model), PHI_LS_TEST_CACHE (where Neovim is
# kept).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
PHI_LS_BIN=${PHI_LS_BIN:-$root/target/debug/phi-ls}
export PHI_LS_MODELS=${PHI_LS_MODELS:-${PHI_LS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/phi-ls-tests}/models}
target=$(uname -m)-unknown-linux-gnu
work=$(mktemp -d)
trap 'kill "${server:-}" 2> /dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT

# person COMMAND...: runs it as somebody who has nothing but the starter model
home=$work/home
person() { env "HOME=$home" "XDG_CONFIG_HOME=$home/.config" "XDG_RUNTIME_DIR=$work/run" "$@"; }
# An address of its own: the project's is not needed here, nor is the network.
export GITHUB_SERVER_URL=https://example.com GITHUB_REPOSITORY=somebody/phi-ls
mkdir -p "$home" "$work/run"

tests=0
fail() {
    echo "FAIL: $*" >&2
    exit 1
}
ok() {
    tests=$((tests + 1))
    echo "ok: $*"
}

# The program without what only a debugger reads, as a release has it: it is copied and packed a dozen times.
strip -o "$work/phi-ls" "$PHI_LS_BIN"
for archive in "$work/dist" "$work/again"; do
    "$root/scripts/release" archive "$target" --binary "$work/phi-ls" --out "$archive"
done
version=$("$root/scripts/release" version)
name=phi-ls-$version-$target
cmp "$work/dist/$name.tar.gz" "$work/again/$name.tar.gz" || fail "the same commit makes two archives"
ok "the same commit makes the same archive"

tar -tzf "$work/dist/$name.tar.gz" > "$work/files"
for file in phi-ls README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE THIRD-PARTY-LICENCES.txt sbom.cdx.json share/man/man1/phi-ls.1 \
    share/man/man1/phi-ls-ask.1 share/bash-completion/completions/phi-ls share/zsh/site-functions/_phi-ls \
    share/fish/vendor_completions.d/phi-ls.fish share/nvim/site/pack/phi-ls/opt/phi-ls/lua/phi-ls/init.lua; do
    grep -qx "$name/$file" "$work/files" || fail "the archive has no $file"
done
ok "the archive has everything"

python3 - "$work/dist/$name.cdx.json" << 'END'
import json, sys
document = json.load(open(sys.argv[1]))
names = {component["name"]: component for component in document["components"]}
assert document["bomFormat"] == "CycloneDX" and document["metadata"]["component"]["name"] == "phi-ls"
assert names["candle-core"]["hashes"] and names["candle-core"]["licenses"], names["candle-core"]
# What only tests need, and what runs while compiling, is not in the program.
assert not {"expect-test", "tempfile-macros", "serde_derive", "cc"} & set(names), sorted(names)
END
ok "the list of components is that of the program"

[ -d "$root/editors/vscode/node_modules" ] ||
    npm ci --prefix "$root/editors/vscode" --ignore-scripts --no-audit --no-fund --loglevel=error
for package in universal "$target"; do
    "$root/scripts/release" vsix "$package" --out "$work/dist" > "$work/output" 2>&1 || fail "$(cat "$work/output")"
done
python3 - "$work/dist/phi-ls-$version" << 'END'
import glob, json, sys, zipfile
for path in glob.glob(f"{sys.argv[1]}-*.vsix"):
    package = zipfile.ZipFile(path)
    files = {entry.filename: entry for entry in package.infolist()}
    manifest = json.loads(package.read("extension/package.json"))
    assert manifest["repository"]["url"] == "https://example.com/somebody/phi-ls", manifest["repository"]
    assert "extension/icon.png" in files and "extension/out/extension.js" in files, sorted(files)
    server = files.get("extension/server/phi-ls")
    assert (server is None) == path.endswith("-universal.vsix"), path
    # The right to run it is kept.
    assert server is None or server.external_attr >> 16 & 0o111 == 0o111, oct(server.external_attr)
    described = package.read("extension.vsixmanifest").decode()
    assert ('TargetPlatform="linux-' in described) == (server is not None), described
END
ok "VS Code packages, with and without the server"

"$root/scripts/release" finish --partial --out "$work/dist"
(cd "$work/dist" && sha256sum --quiet --check SHA256SUMS) || fail "checksums"
grep -q "^repository='https://example.com/somebody/phi-ls'$" "$work/dist/install.sh" || fail "install.sh has no address"
if "$root/scripts/release" finish --out "$work/dist" 2> "$work/error"; then fail "a release without all platforms is finished"; fi
grep -q 'expected an archive for each platform' "$work/error" || fail "$(cat "$work/error")"
ok "checksums, and nothing is left out silently"

# A server that knows some folders, and says its port.
python3 - "$work" > "$work/port" << 'END' &
import functools, http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
END
server=$!
until [ -s "$work/port" ]; do sleep 0.05; done
address=http://127.0.0.1:$(cat "$work/port")

install() { person sh "$work/dist/install.sh" "$@"; }
# refused WORDS ARGUMENTS...: it ends with an error that has these words, and leaves no program behind
refused() {
    if install --to "$work/refused" "${@:2}" > "$work/output" 2>&1; then fail "installed all the same: $(cat "$work/output")"; fi
    grep -qF -- "$1" "$work/output" || fail "expected \"$1\", found: $(cat "$work/output")"
    ! [ -e "$work/refused/bin/phi-ls" ] || fail "a program is left behind"
    ok "refused: $1"
}

install --from "$address/dist" > "$work/output"
person "$home/.local/bin/phi-ls" --version | grep -qF "$version" || fail "not installed"
grep -qF "$home/.local/bin is not on the PATH" "$work/output" || fail "$(cat "$work/output")"
grep -qF 'phi-ls try' "$work/output" || fail "it does not say what is next"
[ -s "$home/.local/share/man/man1/phi-ls.1" ] || fail "no manual page"
ok "installed, and it says what is next"

printf 'x = foo(1, 2)\ny = fo\n' > "$work/code.py"
person "$home/.local/bin/phi-ls" complete "$work/code.py:2:7" --model starter > "$work/output" 2>&1 || fail "$(cat "$work/output")"
ok "the installed program completes: $(head -n 1 "$work/output")"

# An earlier version had a file that this one has not.
echo share/doc/phi-ls/OLD.md >> "$home/.local/share/phi-ls/installed"
touch "$home/.local/share/doc/phi-ls/OLD.md" "$home/.local/share/mine"
PHI_LS_RELEASES=$address/dist/ install > /dev/null
! [ -e "$home/.local/share/doc/phi-ls/OLD.md" ] || fail "a file of the earlier version is left"
ok "installed over an earlier version"

mkdir "$work/cut" "$work/tampered" "$work/other" "$work/foreign"
cp "$work/dist/SHA256SUMS" "$work/cut"
head -c -1000 "$work/dist/$name.tar.gz" > "$work/cut/$name.tar.gz"
refused 'differs from the release' --from "$address/cut"
cp "$work/dist/SHA256SUMS" "$work/tampered"
{ cat "$work/dist/$name.tar.gz"; echo; } > "$work/tampered/$name.tar.gz"
refused 'differs from the release' --from "$address/tampered"
echo "$(printf '0%.0s' $(seq 64))  phi-ls-$version-riscv64-unknown-none.tar.gz" > "$work/other/SHA256SUMS"
refused "expected an archive for $target" --from "$address/other"
refused "cannot download $address/nowhere/SHA256SUMS" --from "$address/nowhere"
refused 'expected --to, --from, --version or --uninstall, found --there' --there
# A program for another system.
mkdir "$work/foreign/$name"
echo 'no program' > "$work/foreign/$name/phi-ls"
chmod +x "$work/foreign/$name/phi-ls"
sed -i '1i #!/nowhere' "$work/foreign/$name/phi-ls"
tar -czf "$work/foreign/$name.tar.gz" -C "$work/foreign" "$name"
(cd "$work/foreign" && sha256sum "$name.tar.gz" > SHA256SUMS)
refused 'does not run on this system' --from "$address/foreign"

# Root may write everywhere but where nothing can be.
touch "$work/file"
if install --from "$address/dist" --to "$work/file/there" > "$work/output" 2>&1; then fail "installed below a file"; fi
grep -qF "cannot write to $work/file/there" "$work/output" || fail "$(cat "$work/output")"
ok "refused: cannot write"
if person sh "$root/install.sh" > "$work/output" 2>&1; then fail "installed from nowhere"; fi
grep -qF 'has no address' "$work/output" || fail "$(cat "$work/output")"
ok "refused: a copy that does not belong to a release"

nvim=$("$root/tests/editors/nvim/install.sh")
# Neovim keeps a state of its own.
(cd "$work" && home=$work/other_home person env "PHI_LS_RELEASES=$address/dist" PATH=/usr/bin:/bin timeout 300 \
    "$nvim" --headless -u NONE -i NONE -l "$here/neovim_install.lua" "$root" > "$work/output" 2>&1) || fail "$(cat "$work/output")"
ok ":PhiLs install, with the whole repository as the plugin"

install --uninstall > "$work/output"
grep -qF "removed phi-ls from $home/.local" "$work/output" || fail "$(cat "$work/output")"
[ "$(cd "$home/.local" && find . -type f)" = ./share/mine ] || fail "left: $(find "$home/.local" -type f)"
[ "$(cd "$home/.local" && find . -type d | sort | tr '\n' ' ')" = '. ./share ' ] || fail "left: $(find "$home/.local" -type d)"
if install --uninstall > "$work/output" 2>&1; then fail "removed twice"; fi
ok "uninstalled, and nothing else is"

echo "$tests passed, 0 failed"
