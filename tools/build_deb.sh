#!/bin/sh
# Builds the Debian package from what is checked out: tools/build_deb.sh FOLDER
# The package comes to lie in FOLDER. VERSION=... gives it another version than the source has.
set -eu
cd "$(dirname "$0")/.."

target=${1:?the folder that the package is written to}
mkdir -p "$target"
target=$(cd "$target" && pwd)
version=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' opsvisor/__init__.py)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source="$work/opsvisor-$version"
mkdir "$source"
# What git knows, as it lies here: neither caches nor environments, and changes that are being tried.
git ls-files -z --cached --others --exclude-standard -- \
    opsvisor constraints deploy docs/man pyproject.toml build_revision.py README.md LICENSE CHANGELOG.md |
    xargs -0 sh -c 'target=$1; shift
        for file; do [ ! -e "$file" ] || cp --parents "$file" "$target"; done' sh "$source"
cp -r deploy/debian "$source/debian"
cp deploy/systemd/opsvisord.service "$source/debian/opsvisor.opsvisord.service"
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" "$source/opsvisor/__init__.py"
# The date of the last commit, so that one source makes one package.
date=$(git log -1 --format=%cD 2>/dev/null || date -R)
cat >"$source/debian/changelog" <<CHANGELOG
opsvisor ($version) unstable; urgency=medium

  * CHANGELOG.md of the source says what has changed.

 -- The opsvisor authors <opsvisor@packages.invalid>  $date
CHANGELOG

# Its environment is to be Debian's own Python, whatever is active here.
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME
cd "$source"
PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps
cp ../*.deb "$target/"
