#!/bin/bash
# One run of dato-mirror in CI: the plan on a pull request, the mirror itself on anything else; annotations for problems.
# Called by action.yml with its inputs as variables. Its exit code is dato-mirror's.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
temp=${RUNNER_TEMP:-$(mktemp -d)}
binary=${BINARY:-$temp/dato-mirror/bin/dato-mirror}
report=$temp/dato-mirror-report.json
markdown=$temp/dato-mirror-plan.md
rm -f "$report" "$markdown"

if [ -z "${DATOCMS_API_TOKEN:-}" ]; then
    # Secrets are not given to pull requests from forks.
    echo "::notice::no API token is given to this run, so dato-mirror was left out"
    exit 0
fi
arguments=(--format markdown --report "$report")
[ -n "${CONFIG:-}" ] && arguments+=(--config "$CONFIG")
[ -n "${ROOT:-}" ] && arguments+=(--root "$ROOT")
case ${EVENT:-} in
    pull_request | pull_request_target) arguments+=(--dry-run) ;;
    *) arguments+=(--sync-once) ;;
esac
read -ra more <<< "${ARGUMENTS:-}"
"$binary" "${arguments[@]}" ${more[@]+"${more[@]}"} > "$markdown"
code=$?

if [ -s "$markdown" ]; then
    cat "$markdown" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
fi
if [ -s "$report" ]; then
    jq -r --arg workspace "${GITHUB_WORKSPACE:-$PWD}/" -f "$here/annotations.jq" "$report"
fi
{
    echo "report=$report"
    [ -s "$markdown" ] && echo "markdown=$markdown"
} >> "${GITHUB_OUTPUT:-/dev/null}"
exit "$code"
