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
sum=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()[:16])' "$lock")
home="$kite_cache/docs-${code%% *}-$sum"

if [[ ! -x $home/bin/zensical ]]; then
    say "installing the site's tool into $home"
    uv=$(find_uv say) || { say "uv is needed and could not be installed; install it with 'pip install uv'."; exit 78; }
    rm -rf "$home"
    "$uv" venv --quiet --no-config --python "$python" "$home"
    # zensical is written last: a call that was interrupted begins again.
    VIRTUAL_ENV="$home" "$uv" pip install --quiet --require-hashes -r "$lock" || { rm -rf "$home"; exit 75; }
fi

cd "$repo"
"$home/bin/zensical" build --clean --strict
# What lies beside the pages and is none.
rm -rf dist/docs/{BUILD,generate.py,tests,variables.toml} dist/docs/*/BUILD
say "the site is in dist/docs; open dist/docs/index.html"
