#compdef opsvisorctl
# Completion for zsh: opsvisorctl.

# Offers are "kind, word, meaning" with tabs between, see opsvisor/ctl/shell_words.py.
_opsvisorctl() {
    local -a described words_only fields
    local offer
    local line="${(j: :)words[1,CURRENT-1]} ${PREFIX}"
    for offer in "${(@f)$(COMP_WORDS=$line _OPSVISORCTL_COMPLETE=words $words[1] 2>/dev/null)}"; do
        fields=("${(@ps:\t:)offer}")
        case $fields[1] in
            file) _files ;;
            word)
                if [[ -n $fields[3] ]]; then
                    described+=("${fields[2]//:/\\:}:$fields[3]")
                else
                    words_only+=("$fields[2]")
                fi ;;
        esac
    done
    (( $#described )) && _describe -V -t words 'word' described
    (( $#words_only )) && compadd -V names -a words_only
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _opsvisorctl "$@"
else
    compdef _opsvisorctl opsvisorctl
fi
