#!/usr/bin/env bash
# Builds docs/ as a site into dist/docs. Its tool comes from a lock of its own and is installed once
# into the user's cache folder, not into the environments of Pants (docs/decisions/0012).
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=build-support/find_python.sh
source "$repo/build-support/find_python.sh"

say() {
    echo "docs: $*" >&2
}

lock="$repo/3rdparty/python/docs-lock.txt"
code=$(python_for_code say) || exit 78
python="${code#* }"
sum=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' <"$lock")
home="$kite_cache/docs-${code%% *}-${sum:0:16}"

# A Debian Python without its venv package has no ensurepip; uv makes the environment then.
make_environment() {
    if "$python" -c "import ensurepip" 2>/dev/null; then
        "$python" -m venv "$home"
    else
        local uv
        uv=$(find_uv say) && "$uv" venv --quiet --no-config --seed --python "$python" "$home"
    fi
}

if [[ ! -f $home/ready ]]; then
    say "installing the site's tool into $home"
    rm -rf "$home"
    if ! make_environment || ! "$home/bin/python" -m pip install -q --require-hashes -r "$lock"; then
        say "the tool could not be installed; check the network or pip's settings, then start again."
        exit 75
    fi
    touch "$home/ready"
fi

cd "$repo"
"$home/bin/zensical" build --clean --strict
# What lies beside the pages and is none.
rm -rf dist/docs/{BUILD,generate.py,tests,variables.toml} dist/docs/*/BUILD
say "the site is in dist/docs; open dist/docs/index.html"
