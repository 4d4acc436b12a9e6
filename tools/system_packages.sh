#!/bin/sh
# Sees to it that Debian packages are there: tools/system_packages.sh PACKAGE...
# As root it installs what is missing; anybody else is told what to install, and it fails. A test
# that needs a program is never skipped for want of it.
set -eu

# Installing prometheus must not start a Prometheus. Debian asks this program before it starts the
# service of a package (/usr/share/doc/init-system-helpers/README.policy-rc.d.gz); 101 is "no".
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

forbid_services() {
    [ -e "$policy" ] && return # somebody has decided already: containers have one that says no
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

if ! command -v dpkg-query >/dev/null; then
    echo "tools/system_packages.sh: this is no Debian (there is no dpkg-query)" >&2
    echo "    hint: the tests run on Debian 12; they need its packages $*" >&2
    exit 1
fi

missing=
for package in "$@"; do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "tools/system_packages.sh: not installed:$missing" >&2
    echo "    hint: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing$missing"
# Other runs may be at it: wait for them. The package lists have a lock that apt won't wait for.
exec 9>/var/lock/opsvisor-system-packages
flock 9
forbid_services
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet=2 -o Acquire::Retries=3 update
# shellcheck disable=SC2086  # a list of words is what it is
apt-get --quiet=2 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install --yes --no-install-recommends $missing </dev/null
# An enabled service starts with the next boot; whoever runs tests did not ask for that.
if [ -d /run/systemd/system ]; then
    echo "installed. Nothing was started, but services start at the next boot unless disabled:"
    echo "    systemctl list-unit-files --state=enabled"
fi
