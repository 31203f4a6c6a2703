#!/bin/sh
# Install Chromium, which the tests of formgrader drive, where apt may be used; else say what is missing.
set -u
command -v chromium >/dev/null 2>&1 && exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
    echo "Installing chromium with apt, for the tests of formgrader"
    { $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1
fi
command -v chromium >/dev/null 2>&1 ||
    echo "chromium is missing: the tests of formgrader will fail (Debian, Ubuntu: sudo apt install chromium)"
exit 0
