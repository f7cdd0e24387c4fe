#!/bin/sh
# Usage: envs/install.sh PYTHON FOLDER LOCK [TORCH]. Makes an environment from a lock file: every version pinned, nothing resolved.
# TORCH is the version of torch that is installed besides; an empty one means none.
# uv installs it in seconds; where uv cannot be had or fails, pip does the same in minutes.
set -eu

torch=${4-torch==2.13.0}
"$1" -c 'import sys; sys.exit("loragrid needs Python 3.11 or newer, and this is %s; name one with make PYTHON=..." %
    sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
folder=$2 lock=$3
# Python would empty the folder that the link leads to, which is another checkout's.
[ ! -L "$folder" ] || { echo "$folder is a link: remove it, and an environment of its own is made here" >&2; exit 1; }
"$1" -m venv --clear "$folder"
pip="$folder/bin/python -m pip --disable-pip-version-check"

# The value of one of pip's settings, wherever it comes from.
pip_setting() {
    $pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1
}

install_with_uv() {
    $pip install --quiet uv==0.13.8 || return 1
    # uv does not read pip's settings.
    index=$(pip_setting index-url)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    links=$(pip_setting find-links)
    [ -z "$links" ] || export UV_FIND_LINKS="$links"
    uv="$folder/bin/uv pip install --python $folder/bin/python --compile-bytecode"
    # torch comes first and alone, so that its build suits the machine; what it needs besides is in the lock file.
    { [ -z "$torch" ] || $uv $torch; } && $uv --no-deps --require-hashes --requirements $lock
}

install_with_pip() {
    { [ -z "$torch" ] || $pip install $torch; } && $pip install --no-deps --require-hashes --requirement $lock
}

install_with_uv || install_with_pip
