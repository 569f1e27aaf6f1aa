# shellcheck shell=bash
# Finds the Pythons this repository needs on this machine, and fetches with uv what is missing.
# Sourced by ./pants and .ci/run; docs/launcher.md says what it does in prose.
#
# What it fetches stays in the user's cache folder: uv itself and the Pythons, nothing else.

# The Pythons the code runs on, in the order in which one is chosen when KITE_PYTHON is not set.
readonly CODE_PYTHONS=(3.11 3.12 3.13 3.14)
# The Pythons that Pants 2.17 itself runs on.
readonly PANTS_PYTHONS=(3.9 3.8 3.7)

kite_cache="${XDG_CACHE_HOME:-${HOME:-}/.cache}/kite-ingest"

# A pyenv shim exists for versions that are not active and then fails, so a candidate counts only
# when it runs and reports the version itself.
runs_version() { # PYTHON VERSION MODULES
    "$1" -c "import sys, $3; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" \
        </dev/null >/dev/null 2>&1
}

candidates() { # VERSION
    local pyenv="${PYENV_ROOT:-${HOME}/.pyenv}" path
    for path in "$pyenv/versions/$1"*/bin/"python$1" "$kite_cache/python/cpython-$1".*/bin/"python$1"; do
        [[ -x $path ]] && echo "$path"
    done
    type -aP "python$1" python3 python || true
    if command -v uv >/dev/null; then
        uv python find --no-project --system --offline --no-python-downloads "$1" 2>/dev/null || true
    fi
}

find_python() { # MODULES VERSION...
    local modules="$1" version path
    shift
    for version in "$@"; do
        while IFS= read -r path; do
            if runs_version "$path" "$version" "$modules"; then
                echo "$path"
                return 0
            fi
        done < <(candidates "$version")
    done
    return 1
}

# The path of uv: the machine's own, or one installed from the package index with pip's settings.
find_uv() { # SAY
    local say="$1" target="$kite_cache/uv" python draft done=1
    if type -P uv || { [[ -x $target/bin/uv ]] && echo "$target/bin/uv"; }; then
        return 0
    fi
    python=$(type -P python3) && "$python" -c "import venv" >/dev/null 2>&1 ||
        python=$(find_python venv "${CODE_PYTHONS[@]}" "${PANTS_PYTHONS[@]}") || return 1
    "$say" "fetching uv from the package index into $target"
    mkdir -p "$kite_cache"
    draft=$(mktemp -d "$kite_cache/uv.XXXXXX")
    # A Debian Python without its venv package may have pip, and one without pip may have venv.
    if "$python" -m pip --version >/dev/null 2>&1; then
        PIP_ROOT_USER_ACTION=ignore "$python" -m pip install -q --target "$draft" uv >&2 && done=0
    elif "$python" -c "import ensurepip" >/dev/null 2>&1; then
        "$python" -m venv "$draft" >&2 && "$draft/bin/python" -m pip install -q uv >&2 && done=0
    fi
    # Whoever is first wins; a second start then uses the same uv.
    [[ $done -ne 0 || -e $target ]] || mv "$draft" "$target"
    rm -rf "$draft"
    [[ -x $target/bin/uv ]] && echo "$target/bin/uv"
}

# The path of a Python of this version, fetched by uv into the cache folder.
fetch_python() { # SAY MODULES VERSION
    local say="$1" modules="$2" version="$3" uv
    uv=$(find_uv "$say") || return 1
    "$say" "fetching CPython $version with uv into $kite_cache/python"
    UV_PYTHON_INSTALL_DIR="$kite_cache/python" UV_PYTHON_INSTALL_BIN=0 \
        "$uv" python install --no-progress --no-config "$version" >&2 || return 1
    find_python "$modules" "$version"
}

find_or_fetch() { # SAY MODULES VERSION...
    find_python "${@:2}" || fetch_python "$1" "$2" "$3"
}

# The Python of the code, as VERSION PATH: KITE_PYTHON's, else the first found, else a fetched one.
python_for_code() { # SAY
    local path version versions=("${CODE_PYTHONS[@]}")
    if [[ -n ${KITE_PYTHON:-} ]]; then
        if [[ $KITE_PYTHON == *" "* || " ${CODE_PYTHONS[*]} " != *" $KITE_PYTHON "* ]]; then
            "$1" "KITE_PYTHON=$KITE_PYTHON is none of ${CODE_PYTHONS[*]}; correct the variable or unset it."
            return 1
        fi
        versions=("$KITE_PYTHON")
    fi
    for version in "${versions[@]}"; do
        path=$(find_python ctypes "$version") && echo "$version $path" && return 0
    done
    path=$(fetch_python "$1" ctypes "${versions[0]}") && echo "${versions[0]} $path" && return 0
    "$1" "the code needs a CPython $(one_of "${versions[@]}"), none was found and uv could not fetch one;" \
        "install one (pyenv install ${versions[0]}, or uv python install ${versions[0]})."
    return 1
}

one_of() { # VERSION...
    local last="${*: -1}" rest="${*:1:$#-1}"
    [[ $# -eq 1 ]] && echo "$last" || echo "${rest// /, } or $last"
}

# Pants looks on PATH and in pyenv; a Python that only uv knows must be named to it.
known_to_uv_alone() { # PYTHON
    [[ $1 == */uv/python/* || $1 == "$kite_cache"/python/* ]]
}
