# A report's problems as annotations of GitHub. Names and causes are foreign text: what could end a line or a property
# is escaped as GitHub's own toolkit does it.
def data: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def property: data | gsub(":"; "%3A") | gsub(","; "%2C");
.mirrors[] as $mirror
| $mirror.problems[]
| (if .action == "skip" then "warning" else "error" end) as $level
| (if .path == "" then [] else ["file=" + ($mirror.root + "/" + .path | ltrimstr($workspace) | property)] end) as $file
| ($file + ["title=" + ("dato-mirror: " + $mirror.name | property)] | join(",")) as $properties
| "::\($level) \($properties)::\(.cause + "\n→ " + .advice | data)"
