# Completions of dato-mirror for bash.

_dato_mirror() {
    local typed=${COMP_WORDS[COMP_CWORD]} word line value whole
    local -a words=()
    # Bash splits words at = and :, which is put together again.
    local at glued=
    for ((at = 1; at <= COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if ((${#words[@]})) && [[ $glued || $word == [=:]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == [=:] ]] && glued=1 || glued=
    done
    [[ $typed == [=:] ]] && typed=
    # What stands before the part that bash replaces.
    whole=${words[${#words[@]} - 1]}
    local before=${whole%"$typed"}
    for at in "${!words[@]}"; do
        words[at]=${words[at]//[\\\"\']/}
    done
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :files) compopt -o default 2> /dev/null || COMPREPLY+=($(compgen -f -- "$typed")) ;;
        :folders) compopt -o dirnames 2> /dev/null || COMPREPLY+=($(compgen -d -- "$typed")) ;;
        *)
            value=${line%%$'\t'*}
            value=${value#"$before"}
            # In quotes it stands as it is.
            [[ $typed == [\"\']* ]] || printf -v value %q "$value"
            COMPREPLY+=("$value")
            ;;
        esac
    done < <(dato-mirror complete -- "${words[@]}" 2> /dev/null)
}
complete -F _dato_mirror dato-mirror
