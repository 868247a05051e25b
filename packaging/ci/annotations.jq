# A report's problems as annotations of GitHub. Names and causes are foreign text: what could end a line or a property
# is escaped as GitHub's own toolkit does it. GitHub shows ten of a step, so what is one matter is one line: what the
# deletion guard withheld, and what kept the whole run from beginning.
def data: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def property: data | gsub(":"; "%3A") | gsub(","; "%2C");
def withheld: "the file is gone; its asset was not deleted because the deletion guard stopped the run";
def is_guard: .action == "guard" and (.cause | startswith("max_delete"));
def one_matter:
  if any(.[]; is_guard) then map(select(.cause != withheld)) else . end;
[ .mirrors[] as $mirror
  | $mirror.problems | one_matter | .[]
  | (if .action == "skip" then "warning" else "error" end) as $level
  | (if .path == "" then [] else ["file=" + ($mirror.root + "/" + .path | ltrimstr($workspace) | property)] end) as $file
  | (if .action == "start" then "dato-mirror" else "dato-mirror: " + $mirror.name end | property) as $title
  | ($file + ["title=" + $title] | join(",")) as $properties
  | "::\($level) \($properties)::\(.cause + "\n→ " + .advice | data)"
]
| reduce .[] as $line ([]; if index($line) then . else . + [$line] end)
| .[]
