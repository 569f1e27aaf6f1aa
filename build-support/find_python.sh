# Finds a Python of a given version on this machine; sourced by ./pants and .ci/run.

# A pyenv shim exists for versions that are not active and then fails, so a candidate counts only
# when it runs and says the version itself.
runs_version() { # PYTHON VERSION MODULES
    "$1" -c "import sys, $3; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" \
        </dev/null >/dev/null 2>&1
}

candidates() { # VERSION
    local pyenv="${PYENV_ROOT:-${HOME}/.pyenv}" path
    for path in "$pyenv/versions/$1"*/bin/"python$1"; do
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
