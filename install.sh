#!/bin/sh
# Installs phi-ls from the archives of a release, for Linux and macOS.
#
#   sh install.sh                    into ~/.local
#   sh install.sh --to FOLDER        into another folder: FOLDER/bin/phi-ls, FOLDER/share/...
#   sh install.sh --version 0.1.0    this release instead of the latest
#   sh install.sh --from URL         archives and SHA256SUMS from this folder on a web server (or a file:// URL), which the
#                                    variable PHI_LS_RELEASES may name as well
#   sh install.sh --uninstall        removes what it has installed; keeps models and settings
#
# Needs curl or wget, tar with gzip, and sha256sum, shasum or openssl. Nothing is changed until the archive has been checked.
set -eu

# The address of the project's repository. scripts/release writes it into the copy that belongs to a release.
repository=''

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The platform's name in the names of archives.
target() {
    system=$(uname -s) machine=$(uname -m)
    case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "expected an x86-64 or 64-bit Arm processor, found $machine: build from source with cargo install" ;;
    esac
    case $system in
    Linux)
        libc=$(ldd --version 2>&1 | head -n 1 || true)
        case $libc in
        *musl*) fail "expected a system with glibc, found musl: build from source with cargo install" ;;
        esac
        say "$machine-unknown-linux-gnu"
        ;;
    Darwin)
        # A shell under Rosetta takes an Apple processor for one of Intel's.
        if [ "$machine" = x86_64 ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
            machine=aarch64
        fi
        say "$machine-apple-darwin"
        ;;
    *) fail "expected Linux or macOS, found $system: the release's page has archives for other systems" ;;
    esac
}

# download URL FILE
download() {
    if has curl; then
        curl --fail --silent --show-error --location --retry 2 --output "$2" "$1"
    elif has wget; then
        wget --quiet --output-document "$2" "$1"
    else
        fail "expected curl or wget, found neither"
    fi || fail "cannot download $1: check the network and https_proxy, or name a mirror with --from"
}

sha256() {
    if has sha256sum; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif has shasum; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    elif has openssl; then
        openssl dgst -sha256 "$1" | sed 's/.*= *//'
    else
        fail "expected sha256sum, shasum or openssl to check the archive with, found none of them"
    fi
}

# Sets `archive` to the path of the archive in $work, downloaded and checked.
fetch_archive() {
    platform=$(target)
    download "$from/SHA256SUMS" "$work/SHA256SUMS"
    line=$(grep -E "^[0-9a-f]{64} [ *]phi-ls-[^/ ]*-$platform\.tar\.gz\$" "$work/SHA256SUMS" | head -n 1)
    [ -n "$line" ] || fail "expected an archive for $platform in $from/SHA256SUMS, found none"
    expected=${line%% *}
    name=${line##*[ *]}
    say "downloading $name"
    archive=$work/$name
    download "$from/$name" "$archive"
    found=$(sha256 "$archive")
    [ "$found" = "$expected" ] ||
        fail "$name differs from the release: expected SHA-256 $expected, found $found; nothing was installed, try again"
}

# The files of the archive that are installed, each with the place under the folder where it goes.
places() {
    (cd "$1" && find . -type f) | sed 's,^\./,,' | while read -r file; do
        case $file in
        phi-ls) say "$file bin/phi-ls" ;;
        share/*) say "$file $file" ;;
        *) say "$file share/doc/phi-ls/$file" ;;
        esac
    done
}

# put FILE PLACE: a file in its place at once, or not at all; a program that runs keeps its old file.
put() {
    if ! { mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && mv -f "$2.new" "$2"; }; then
        fail "cannot write $2: run this again"
    fi
}

install_phi_ls() {
    fetch_archive
    tar -xzf "$archive" -C "$work" || fail "cannot unpack $name"
    unpacked=$work/${name%.tar.gz}
    version=$("$unpacked/phi-ls" --version) ||
        fail "the program of $name does not run on this system; nothing was installed"

    if ! mkdir -p "$to/bin" "$(dirname "$list")" 2>/dev/null || ! [ -w "$to/bin" ]; then
        fail "cannot write to $to: name another folder with --to, or run this as its owner"
    fi
    places "$unpacked" > "$work/places"
    while read -r file place; do
        put "$unpacked/$file" "$to/$place"
    done < "$work/places"
    sed 's/^[^ ]* //' "$work/places" > "$work/installed"
    # What an earlier version had and this one has not.
    [ ! -f "$list" ] || grep -v -x -F -f "$work/installed" "$list" > "$work/old" || true
    [ ! -f "$work/old" ] || remove_listed "$work/old"
    put "$work/installed" "$list"
    say "installed $version as $to/bin/phi-ls"
    say_what_next
}

say_what_next() {
    say ""
    case :$PATH: in
    *:"$to/bin":*) ;;
    *)
        say "$to/bin is not on the PATH. Add this line to your shell's profile:"
        say "    export PATH=\"$to/bin:\$PATH\""
        say ""
        ;;
    esac
    say "Next:"
    say "    phi-ls try       a completion and an explanation, from a model of 98 MB"
    say "    phi-ls doctor    what this machine has, and which model fits"
    say "    phi-ls pull      the models for daily use, 2.4 and 2.5 GB"
    say "In Neovim: vim.cmd.packadd('phi-ls'), then require('phi-ls').setup(). For VS Code, install the release's .vsix."
}

# Removes the files that LIST names, and the folders that hold nothing else.
remove_listed() {
    while read -r place; do
        rm -f "$to/$place" || fail "cannot remove $to/$place"
        folder=$(dirname "$place")
        while [ "$folder" != . ] && rmdir "$to/$folder" 2>/dev/null; do
            folder=$(dirname "$folder")
        done
    done < "$1"
}

uninstall() {
    [ -f "$list" ] || fail "expected a list of installed files in $list, found none: this script has installed nothing there"
    kept=$("$to/bin/phi-ls" doctor 2>/dev/null | grep -E '^  (models|settings)  .*/' || true)
    printf '%s\n' share/phi-ls/installed | cat "$list" - > "$work/installed"
    remove_listed "$work/installed"
    say "removed phi-ls from $to"
    [ -z "$kept" ] || printf 'Models and settings are left:\n%s\n' "$kept"
}

to=${HOME:-}/.local from=${PHI_LS_RELEASES:-} action=install_phi_ls version=''
while [ $# -gt 0 ]; do
    case $1 in
    --to | --from | --version)
        [ $# -gt 1 ] || fail "expected a value after $1, found none"
        case $1 in
        --to) to=$2 ;;
        --from) from=$2 ;;
        --version) version=${2#v} ;;
        esac
        shift 2
        ;;
    --uninstall)
        action=uninstall
        shift
        ;;
    -h | --help)
        sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
        exit
        ;;
    *) fail "expected --to, --from, --version or --uninstall, found $1" ;;
    esac
done

case $to in
/*) ;;
*) to=$PWD/$to ;;
esac
list=$to/share/phi-ls/installed

if [ "$action" = install_phi_ls ] && [ -z "$from" ]; then
    [ -n "$repository" ] || fail "this copy is not from a release, so it has no address to download from; name one with --from URL"
    if [ -n "$version" ]; then
        from=$repository/releases/download/v$version
    else
        from=$repository/releases/latest/download
    fi
fi
from=${from%/}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
"$action"
