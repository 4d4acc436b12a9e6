# Completion for bash: opsvisorctl.

# Offers are "kind, word, meaning" with tabs between, see opsvisor/ctl/shell_words.py.
_opsvisorctl() {
    local line=${COMP_LINE:0:COMP_POINT}
    local current=${line##*[[:space:]]} kind word says prefix="" breaks=""
    COMPREPLY=()
    # Bash replaces what stands behind the last of these only; names are group:process.
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=":"
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+="="
    if [[ -n $breaks && $current == *[$breaks]* ]]; then
        prefix=${current%"${current##*[$breaks]}"}
    fi
    while IFS=$'\t' read -r kind word says; do
        if [[ $kind == file ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$word")
        else
            printf -v word %q "${word#"$prefix"}"
            COMPREPLY+=("$word")
        fi
    done < <(COMP_WORDS=$line _OPSVISORCTL_COMPLETE=words "${COMP_WORDS[0]}" 2>/dev/null)
}

complete -o nosort -F _opsvisorctl opsvisorctl 2>/dev/null || complete -F _opsvisorctl opsvisorctl
