# Completions of dato-mirror for fish.

function __dato_mirror_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l typed (commandline -ct)
    # The part of --flag=PATH before the path.
    set -l before (string match -r -- '^--[^=]+=' "$typed")
    set -l path (string replace -r -- '^--[^=]+=' '' "$typed")
    for line in (dato-mirror complete -- $words "$typed" 2> /dev/null)
        switch $line
            case :files
                for found in (__fish_complete_path "$path")
                    printf '%s\n' "$before$found"
                end
            case :folders
                for found in (__fish_complete_directories "$path" '')
                    printf '%s\n' "$before$found"
                end
            case '*'
                printf '%s\n' "$line"
        end
    end
end

complete -c dato-mirror -f -a '(__dato_mirror_complete)'
