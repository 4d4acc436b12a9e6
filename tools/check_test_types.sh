#!/bin/sh
# mypy --strict over the tests, folder by folder: each imports its helpers by bare name, as pytest
# finds them, and several folders have a conftest of their own.
set -eu
cd "$(dirname "$0")/.."

find tests -name '*.py' -exec dirname {} \; | sort -u | while read -r folder; do
    MYPYPATH="tests:$folder" mypy --strict --no-error-summary "$folder"/*.py
done
