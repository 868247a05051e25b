#!/bin/bash
# One run of dato-mirror in CI: the plan on a pull request, the mirror itself on anything else; a summary and annotations,
# also of a run that fails before it has a report. Called by action.yml with its inputs as variables. Its exit code is
# dato-mirror's; 2 where it cannot be run.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
temp=${RUNNER_TEMP:-$(mktemp -d)}
binary=${BINARY:-$temp/dato-mirror/bin/dato-mirror}
summary=${GITHUB_STEP_SUMMARY:-/dev/stdout}
report=$temp/dato-mirror-report.json
markdown=$temp/dato-mirror-plan.md
log=$temp/dato-mirror-log.txt
rm -f "$report" "$markdown" "$log"

is_pull_request=false
case ${EVENT:-} in pull_request | pull_request_target) is_pull_request=true ;; esac

if [ -z "${DATOCMS_API_TOKEN:-}" ]; then
    if $is_pull_request; then
        # Secrets are not given to pull requests from forks.
        echo "::notice title=dato-mirror::no API token is given to this run, so dato-mirror was left out"
        printf '### dato-mirror\n\nLeft out: GitHub gives no API token to pull requests from forks.\n' >> "$summary"
        exit 0
    fi
    echo "::error title=dato-mirror::no API token is given to this run, so nothing was mirrored%0A→ set the input \`token\` to a secret that is there"
    printf '### dato-mirror\n\n**Nothing was mirrored**: no API token is given to this run. Set the input `token` to a secret that is there.\n' >> "$summary"
    exit 2
fi
arguments=(--format markdown --report "$report")
[ -n "${CONFIG:-}" ] && arguments+=(--config "$CONFIG")
[ -n "${ROOT:-}" ] && arguments+=(--root "$ROOT")
if $is_pull_request; then arguments+=(--dry-run); else arguments+=(--sync-once); fi
read -ra more <<< "${ARGUMENTS:-}"
# The log is followed as it comes, and kept for a run that has nothing else to show.
"$binary" "${arguments[@]}" ${more[@]+"${more[@]}"} 2>&1 > "$markdown" | tee "$log" >&2
code=${PIPESTATUS[0]}

if [ -s "$report" ]; then
    jq -r --arg workspace "${GITHUB_WORKSPACE:-$PWD}/" -f "$here/annotations.jq" "$report"
elif [ "$code" != 0 ]; then
    # Wrong usage, a configuration with mistakes, a binary that is not there: the log is all that there is.
    said=$(tail -n 40 "$log" | sed 's/\x1b\[[0-9;]*m//g')
    { printf '### dato-mirror\n\n**It ended with exit code %s, before it had anything to report.**\n\n' "$code"
        printf '````text\n%s\n````\n' "$said"; } >> "$markdown"
    place=$(printf '%s\n' "$said" | grep -oE -m 1 -e '--> [^:]+:[0-9]+:[0-9]+' | head -n 1)
    properties=title=dato-mirror
    if [ -n "$place" ]; then
        IFS=: read -r file line column <<< "${place#--> }"
        file=${file#"${GITHUB_WORKSPACE:-$PWD}/"}
        properties="file=${file//,/%2C},line=$line,col=$column,$properties"
    fi
    said=${said//'%'/%25}
    said=${said//$'\r'/%0D}
    echo "::error $properties::${said//$'\n'/%0A}"
fi
if [ -s "$markdown" ]; then
    cat "$markdown" >> "$summary"
fi
{
    echo "report=$report"
    [ -s "$markdown" ] && echo "markdown=$markdown"
} >> "${GITHUB_OUTPUT:-/dev/null}"
exit "$code"
