#!/bin/sh
# Install PROGRAM, which lies in PACKAGE, where apt may be used; else say what NEEDS it.
#   sh .ci/install_with_apt.sh PROGRAM PACKAGE NEEDS
set -u
program=$1 package=$2 needs=$3
command -v "$program" >/dev/null 2>&1 && exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
    echo "Installing $package with apt"
    { $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; } >/dev/null 2>&1
fi
command -v "$program" >/dev/null 2>&1 ||
    echo "$package is missing: $needs (Debian, Ubuntu: sudo apt install $package)"
exit 0
