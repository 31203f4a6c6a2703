#!/bin/sh
# Install bubblewrap, which the grader's sandbox stands on, where apt may be used; else say what is missing.
set -u
command -v bwrap >/dev/null 2>&1 && exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
    echo "Installing bubblewrap with apt"
    { $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq bubblewrap; } >/dev/null 2>&1
fi
command -v bwrap >/dev/null 2>&1 ||
    echo "bubblewrap is missing: grading needs it (Debian, Ubuntu: sudo apt install bubblewrap) or docker or podman; training works without"
exit 0
